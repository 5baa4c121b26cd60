package replica

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/web"
)

// Path is where replicas ask each other who there is, below the route prefix.
const Path = "/api/v1/replicas"

const (
	askInterval = time.Second
	askTimeout  = 2 * time.Second
	forgetAfter = time.Minute
	maxPeers    = 32
	maxPeerName = 200
)

// Headers with which a replica says who it is.
const (
	idHeader      = "X-Pushbridge-Replica"
	addressHeader = "X-Pushbridge-Replica-Address"
)

// peers are the other replicas: those that have asked this one, and what the one that leads
// says of them.
type peers struct {
	mu      sync.Mutex
	seen    map[string]web.Replica
	told    *web.Replicas
	reached time.Time // when the one that leads has answered
	failure error     // why it has not since
}

// local is what this replica knows by itself.
func (x *Replicas) local() web.Replicas {
	log, now := x.o.Gateway.Log(), x.o.Now()
	l, head := log.Lease().Leader(), log.Head()
	s := web.Replicas{Here: x.o.ID, Epoch: l.Epoch, Replicas: []web.Replica{{
		ID: x.o.ID, Address: x.o.Address, Leads: l.Here, Head: head, Behind: behind(l.Head, head), Seen: now,
	}}}
	if x.shared && l.ID != "" && !l.Gone {
		s.Leader = &web.Leader{ID: l.ID, Address: l.Address, Since: l.Since}
	}
	switch {
	case l.Here:
		s.Replicas = append(s.Replicas, x.peers.recent(now, x.o.ID)...)
	case s.Leader != nil && l.ID != x.o.ID:
		s.Replicas = append(s.Replicas, web.Replica{ID: l.ID, Address: l.Address, Leads: true, Head: l.Head, Seen: now.Add(-l.Silent)})
	}
	return s
}

func behind(newest, head uint64) uint64 { return newest - min(newest, head) }

// recent returns those that have asked not long ago.
func (p *peers) recent(now time.Time, but string) []web.Replica {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.seen, func(_ string, r web.Replica) bool { return now.Sub(r.Seen) > forgetAfter })
	all := slices.DeleteFunc(slices.Collect(maps.Values(p.seen)), func(r web.Replica) bool { return r.ID == but })
	slices.SortFunc(all, func(a, b web.Replica) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Status returns who there is: what this replica knows, and what the one that leads has said
// of the others.
func (x *Replicas) Status() web.Replicas {
	s := x.local()
	x.peers.mu.Lock()
	told := x.peers.told
	x.peers.mu.Unlock()
	if told != nil && s.Leader != nil && told.Here == s.Leader.ID {
		for _, r := range told.Replicas {
			if !slices.ContainsFunc(s.Replicas, func(o web.Replica) bool { return o.ID == r.ID }) && x.o.Now().Sub(r.Seen) < forgetAfter {
				s.Replicas = append(s.Replicas, r)
			}
		}
	}
	slices.SortFunc(s.Replicas, func(a, b web.Replica) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

// Notice makes next answer, and remembers the replica that asks, if it is one.
func (x *Replicas) Notice(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get(idHeader); id != "" && x.shared && len(id) <= maxPeerName {
			x.notice(id, r.Header)
		}
		next.ServeHTTP(w, r)
	})
}

func (x *Replicas) notice(id string, h http.Header) {
	head, err := strconv.ParseUint(h.Get(headHeader), 10, 64)
	address := h.Get(addressHeader)
	if err != nil || len(address) > maxPeerName {
		return
	}
	now, newest := x.o.Now(), x.o.Gateway.Log().Head()
	x.peers.mu.Lock()
	defer x.peers.mu.Unlock()
	if _, known := x.peers.seen[id]; known || len(x.peers.seen) < maxPeers {
		x.peers.seen[id] = web.Replica{ID: id, Address: address, Head: head, Behind: behind(newest, head), Seen: now}
	}
}

// Run asks the replica that leads now and then, until ctx ends: so it knows of this one, and
// this one whether it can be reached.
func (x *Replicas) Run(ctx context.Context) error {
	if !x.shared {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	defer func() { x.last.Load().leave() }()
	for {
		x.ask(ctx)
		x.prune()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// prune closes connections to the replica that leads that nobody needs.
func (x *Replicas) prune() {
	if w := x.last.Load(); w != nil && w.client != nil {
		w.client.Prune(unused)
	}
}

func (x *Replicas) ask(ctx context.Context) {
	l := x.o.Gateway.Log().Lease().Leader()
	if l.Here || l.ID == "" || l.Gone || l.Address == "" {
		return
	}
	told, err := x.askFor(ctx, l.Address)
	x.peers.mu.Lock()
	defer x.peers.mu.Unlock()
	if x.peers.failure = err; err == nil {
		x.peers.reached, x.peers.told = time.Now(), told
	}
}

// askFor returns what the replica at an address says, nil if it answers and does not say: its
// password may be one that only clients have.
func (x *Replicas) askFor(ctx context.Context, address string) (*web.Replicas, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+Path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", address, err)
	}
	r.Header.Set(idHeader, x.o.ID)
	r.Header.Set(addressHeader, x.o.Address)
	r.Header.Set(headHeader, strconv.FormatUint(x.o.Gateway.Log().Head(), 10))
	resp, err := x.http.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }() // was only read from
	var a struct {
		Data *web.Replicas `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		return nil, nil
	}
	return a.Data, nil
}
