package replica

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/web"
)

// Options configure Replicas.
type Options struct {
	Gateway *gateway.Gateway
	Intake  Intake

	ID          string                       // of this replica
	Address     string                       // where the others reach it, with its route prefix; empty: nowhere
	Prefix      string                       // of the routes here
	HTTP        *promconfig.HTTPClientConfig // nil: the default
	HoldTimeout time.Duration                // 12 s
	Accepted    int                          // the status of a push that is kept; 200

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Intake is what takes pushes in here.
type Intake interface {
	// Keep reads a body as it was sent, within the bounds on pushes. release gives its
	// memory back, for another push where nobody can be using it any more.
	Keep(w http.ResponseWriter, r *http.Request) (body []byte, release func(unused bool), err error)

	// Key returns the grouping key of a push, nil when its path has none.
	Key(r *http.Request) group.Labels

	// Refuse answers err.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
}

// Replicas are this gateway and the others on its log.
type Replicas struct {
	o       Options
	shared  bool
	http    http.RoundTripper
	metrics *metrics
	peers   peers
	last    atomic.Pointer[way] // to the one that leads
	waits   waits
}

// New returns the replicas. It asks nobody before Run.
func New(o Options) (*Replicas, error) {
	o.HoldTimeout = cmp.Or(o.HoldTimeout, 12*time.Second)
	o.Accepted = cmp.Or(o.Accepted, http.StatusOK)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client := &promconfig.DefaultHTTPClientConfig
	if o.HTTP != nil {
		client = o.HTTP
	}
	rt, err := promconfig.NewRoundTripperFromConfig(*client, "replica")
	if err != nil {
		return nil, fmt.Errorf("http client: %w", err)
	}
	x := &Replicas{o: o, shared: o.Gateway.Log().Shared(), http: rt}
	x.peers.seen = map[string]web.Replica{}
	x.waits.leader = o.Gateway.Log().Lease().Leader
	x.metrics = newMetrics(x, o.Registerer)
	return x, nil
}

// pause waits a moment, or until ctx ends.
func pause(ctx context.Context) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
	}
}
