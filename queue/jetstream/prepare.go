package jetstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pushbridge/pushbridge/queue"
)

const longestName = 100

func checkName(name string) error {
	if name == "" || len(name) > longestName || strings.ContainsFunc(name, notInNames) {
		return fmt.Errorf("%q cannot be the name of a stream here: use letters, digits, - and _", name)
	}
	return nil
}

func notInNames(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// redacted returns URLs without passwords.
func redacted(urls []string) []string {
	out := make([]string, len(urls))
	for i, raw := range urls {
		out[i] = raw
		if u, err := url.Parse(raw); err == nil {
			out[i] = u.Redacted()
		}
	}
	return out
}

// leastPayload is what a server must take: a whole message with its headers.
const leastPayload = maxPiece + headerSize + 4096

// prepare makes the stream and the bucket for snapshots where they are missing, and
// checks that what is there keeps what a log promises.
func (s *server) prepare(ctx context.Context, o Options, h queue.Host) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	if n := s.nc.MaxPayload(); n < leastPayload {
		return fmt.Errorf("the NATS server takes messages of %d bytes: set its max_payload to %d or more (1MB is its default)", n, leastPayload)
	}
	var c jetstream.StreamConfig
	err := patiently(ctx, func(ctx context.Context) error {
		st, err := s.js.Stream(ctx, s.name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			st, err = s.create(ctx, o, h)
		}
		if err == nil {
			c = st.CachedInfo().Config
		}
		return err
	})
	if err != nil {
		return explain(err)
	}
	if err := s.check(&c); err != nil {
		return err
	}
	if c.Replicas < 3 {
		h.Logger.Warn("the stream has fewer than three copies: while one of its servers is down no push is taken, and with the disk of "+
			"the only one everything is lost that was not sent; nats stream edit --replicas=3 makes more", "stream", s.name, "copies", c.Replicas)
	}
	return patiently(ctx, func(ctx context.Context) error { return s.openBucket(ctx, c.Replicas) })
}

// explain says more about errors of the cluster.
func explain(err error) error {
	var e *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("JetStream is not enabled for this server or account: start nats-server with --jetstream: %w", err)
	case errors.As(err, &e) && (e.ErrorCode == noPeers || e.ErrorCode == notClustered):
		return fmt.Errorf("the stream cannot be made with that many copies: the cluster needs as many servers with JetStream as "+
			"--storage.nats-replicas says: %w", err)
	}
	return err
}

// Codes of a cluster that is too small, and of a server that is in none.
const (
	noPeers      jetstream.ErrorCode = 10005
	notClustered jetstream.ErrorCode = 10074
)

func (s *server) config(copies int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.name, Description: "log of pushbridge", Subjects: []string{s.subject},
		Storage: jetstream.FileStorage, Replicas: copies, Discard: jetstream.DiscardNew, AllowDirect: true,
		RePublish: &jetstream.RePublish{Source: s.subject, Destination: s.tail},
	}
}

func (s *server) create(ctx context.Context, o Options, h queue.Host) (jetstream.Stream, error) {
	st, err := s.js.CreateStream(ctx, s.config(o.Replicas))
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return s.js.Stream(ctx, s.name) // another replica was faster
	}
	if err != nil {
		return nil, fmt.Errorf("make stream %q: %w", s.name, err)
	}
	h.Logger.Info("stream made", "stream", s.name, "copies", o.Replicas)
	return st, nil
}

// check returns what is wrong with a stream, and how to mend it.
func (s *server) check(c *jetstream.StreamConfig) error {
	var wrong []string
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	say(c.Storage != jetstream.FileStorage, "its storage is memory, which a restart of the servers empties: it must be file")
	say(!slices.Equal(c.Subjects, []string{s.subject}), "its subjects are %v: it must have %s alone", c.Subjects, s.subject)
	say(c.Retention != jetstream.LimitsPolicy, "its retention is %s: it must be limits", c.Retention)
	say(c.Discard != jetstream.DiscardNew, "it discards old messages, uncounted, when it is full: use --discard=new")
	say(c.MaxAge != 0, "it removes messages after %s, uncounted: use --max-age=0", c.MaxAge)
	say(c.MaxMsgs > 0, "it has room for %d messages: use --max-msgs=-1, and --storage.max-bytes as the bound", c.MaxMsgs)
	say(c.MaxMsgsPerSubject > 0, "it keeps %d messages of a subject: use --max-msgs-per-subject=-1", c.MaxMsgsPerSubject)
	say(c.MaxMsgSize > 0 && c.MaxMsgSize < leastPayload, "it takes messages of %d bytes: use --max-msg-size=%d or -1", c.MaxMsgSize, leastPayload)
	say(!c.AllowDirect, "it does not allow direct access: use --allow-direct")
	say(c.RePublish == nil || c.RePublish.Destination != s.tail || c.RePublish.HeadersOnly,
		"it does not republish its messages: use --republish-source=%s --republish-destination=%s", s.subject, s.tail)
	say(c.NoAck, "it does not acknowledge what it stores: it must")
	say(c.Sealed || c.DenyPurge, "it is sealed, or denies to be purged: the log could never become smaller")
	say(c.Mirror != nil || len(c.Sources) > 0, "it is filled from other streams")
	say(c.SubjectTransform != nil, "it transforms subjects")
	say(c.PersistMode == jetstream.AsyncPersistMode, "it acknowledges before it has written")
	if len(wrong) > 0 {
		return fmt.Errorf("stream %q cannot keep the log (nats stream edit %s can change most): %s", s.name, s.name, strings.Join(wrong, "; "))
	}
	return nil
}

// openBucket finds the bucket of the snapshots, or makes it with as many copies as the
// stream has.
func (s *server) openBucket(ctx context.Context, copies int) (err error) {
	s.store, err = s.js.ObjectStore(ctx, s.name)
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		s.store, err = s.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: s.name, Description: "snapshots of pushbridge", Storage: jetstream.FileStorage, Replicas: copies,
		})
	}
	if errors.Is(err, jetstream.ErrBucketExists) {
		s.store, err = s.js.ObjectStore(ctx, s.name)
	}
	if err != nil {
		return fmt.Errorf("open the bucket of the snapshots: %w", err)
	}
	return nil
}
