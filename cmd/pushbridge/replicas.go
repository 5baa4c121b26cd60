package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/replica"
)

// replicaSettings are what the flags say of how replicas speak to each other.
type replicaSettings struct {
	http *promconfig.HTTPClientConfig // nil: the default
	hold time.Duration
}

func (s *replicaSettings) read(r *flagReader, address string) {
	s.hold = r.duration(flagReplicaHold, time.Millisecond)
	if address != "" {
		if err := checkAdvertised(address); err != nil {
			r.fail(flagReplicaURL, err)
		}
	}
	file := r.c.String(flagReplicaHTTP)
	if file == "" {
		return
	}
	var err error
	if s.http, _, err = promconfig.LoadHTTPConfigFile(file); err != nil {
		r.fail(flagReplicaHTTP, fmt.Errorf("%s: %w", file, err))
	}
}

// checkAdvertised tells whether the others can send something to raw.
func checkAdvertised(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must be of the form http://host:port/prefix")
	case u.User != nil:
		return fmt.Errorf("must have no user and password, since everybody sees it: use --%s", flagReplicaHTTP)
	}
	return nil
}

// newReplicas makes what speaks with the other replicas.
func (s *server) newReplicas(push *ingest.Handler) (*replica.Replicas, error) {
	accepted := http.StatusOK
	if s.settings.disableConsistency {
		accepted = http.StatusAccepted
	}
	return replica.New(replica.Options{
		Gateway: s.gateway, Intake: push,
		ID: s.settings.stream.ID, Address: s.settings.stream.Address, Prefix: s.settings.routePrefix,
		HTTP: s.settings.replica.http, HoldTimeout: s.settings.replica.hold, Accepted: accepted,
		Logger: s.log.With("component", "replica"), Registerer: s.registry, Now: s.now,
	})
}
