package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/queue/jetstream"
)

// leastLease is one that a busy machine can keep.
const leastLease = 500 * time.Millisecond

// readStream reads where the log is when it is in a stream of NATS JetStream.
func (s *settings) readStream(r *flagReader) {
	o := jetstream.Options{
		URLs: r.c.StringSlice(flagNATSURL), Stream: r.c.String(flagNATSStream), Replicas: r.count(flagNATSReplicas),
		Creds: r.c.String(flagNATSCreds), NKey: r.c.String(flagNATSNKey),
		TLSCA: r.c.String(flagNATSTLSCA), TLSCert: r.c.String(flagNATSTLSCert), TLSKey: r.c.String(flagNATSTLSKey),
		Lease: r.duration(flagReplicaLease, leastLease), MaxBytes: s.maxBytes,
	}
	for _, raw := range o.URLs {
		if err := checkNATSURL(raw); err != nil {
			r.fail(flagNATSURL, err)
		}
	}
	switch {
	case len(o.URLs) > 0 && s.storagePathSet && s.storagePath != "":
		r.fail(flagNATSURL, fmt.Errorf("the log is in a stream or in a directory: leave out --%s", flagStoragePath))
	case len(o.URLs) > 0 && s.persistenceFile != "":
		r.fail(flagPersistenceFile, fmt.Errorf("is one process's, and the log in a stream may be several's: leave it out, or --%s", flagNATSURL))
	case o.Replicas < 1 || o.Replicas > 5:
		r.fail(flagNATSReplicas, fmt.Errorf("must be 1 to 5, is %d", o.Replicas))
	case (o.TLSCert == "") != (o.TLSKey == ""):
		r.fail(flagNATSTLSCert, fmt.Errorf("needs --%s, and that needs it", flagNATSTLSKey))
	}
	s.stream = o
}

// takeOver is how long it may take until another replica leads, on a busy machine too: 5 s
// with a lease of 3 s. Without replicas there is nothing to take over.
func (s *settings) takeOver() time.Duration {
	if len(s.stream.URLs) == 0 {
		return 0
	}
	return s.stream.Lease * 5 / 3
}

// readReplica reads what a replica is to the others, which only a gateway is.
func (s *settings) readReplica(r *flagReader) {
	o := &s.stream
	o.ID, o.Address = r.c.String(flagReplicaID), strings.TrimSuffix(r.c.String(flagReplicaURL), "/")
	s.replica.read(r, o.Address)
	if o.ID == "" {
		var err error
		if o.ID, err = os.Hostname(); err != nil && len(o.URLs) > 0 {
			r.fail(flagReplicaID, fmt.Errorf("must be given, since the host has no name: %w", err))
		}
	}
}

// checkNATSURL tells whether raw can be the URL of a server. It shows no secret.
func checkNATSURL(raw string) error {
	if !strings.Contains(raw, "://") {
		raw = "nats://" + raw // as NATS' own tools take it
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return errors.New("not a URL of the form nats://host:port")
	case u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss":
		return fmt.Errorf("the scheme %q is none of nats, tls, ws, wss", u.Scheme)
	}
	return nil
}

// openStream opens the state and its log in a stream.
func (s *server) openStream() (*gateway.Gateway, error) {
	g, err := gateway.Open(jetstream.New(s.settings.stream), s.gatewayOptions())
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagNATSURL, err)
	}
	return g, nil
}
