package jetstream

import (
	"cmp"
	"time"
)

// Options configure a Store. Zero values mean the default that each field names.
type Options struct {
	URLs   []string // of the servers, as NATS' own tools take them
	Stream string   // "pushbridge"; made when absent

	Creds      string // file with a user's JWT and key
	NKey       string // file with a user's seed
	TLSCA      string // file with the certificates of authorities
	TLSCert    string // file with the client's certificate
	TLSKey     string // and its key
	Replicas   int    // 3; of a stream that is made
	ClientName string // "pushbridge"; how the servers list the connection

	ID      string        // of this replica: no other one that runs may have it
	Address string        // where the others reach it
	Lease   time.Duration // 3 s without a word from the leader, and another replica may lead

	PartBytes int64         // 16 MiB of messages that can only be removed together
	MaxBytes  int64         // 10 GiB of parts and snapshots; negative: no bound
	Patience  time.Duration // 15 s that a write waits for the stream

	retake bool // whatever marks the stream, see Movable
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// maxPartMessages ends a part as well, since a restart reads the newest one.
const maxPartMessages = 20_000

func (o Options) withDefaults() Options {
	o.Stream = cmp.Or(o.Stream, "pushbridge")
	o.Replicas = cmp.Or(o.Replicas, 3)
	o.ClientName = cmp.Or(o.ClientName, "pushbridge")
	o.Lease = cmp.Or(o.Lease, 3*time.Second)
	o.PartBytes = cmp.Or(o.PartBytes, 16*mib)
	o.MaxBytes = cmp.Or(o.MaxBytes, 10*gib)
	o.Patience = cmp.Or(o.Patience, 15*time.Second)
	if o.MaxBytes > 0 {
		o.PartBytes = min(o.PartBytes, max(o.MaxBytes/8, 4096)) // parts go whole: a few must fit
	}
	return o
}
