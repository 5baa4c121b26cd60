package jetstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pushbridge/pushbridge/queue"
)

// server is the stream on real servers. Messages go by requests of their own: what the
// client library adds to them, such as another attempt or an answer from any server, is
// not what the chain needs.
type server struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	name    string // of the stream
	subject string
	tail    string // where messages are republished
	store   jetstream.ObjectStore
}

const api = "$JS.API."

// connect connects to the servers, and checks and makes what is needed there.
func connect(ctx context.Context, o Options, h queue.Host) (stream, error) {
	if err := checkName(o.Stream); err != nil {
		return nil, err
	}
	nc, err := nats.Connect(strings.Join(o.URLs, ","), o.connection(h)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", strings.Join(redacted(o.URLs), ", "), remedy(err))
	}
	s := &server{nc: nc, name: o.Stream, subject: o.Stream + ".log", tail: o.Stream + ".tail"}
	if s.js, err = jetstream.New(nc); err == nil {
		err = s.prepare(ctx, o, h)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

// connection returns how to connect. What is written while there is no connection fails
// at once, and a server that is silent is left soon.
func (o Options) connection(h queue.Host) []nats.Option {
	all := []nats.Option{
		nats.Name(o.ClientName),
		nats.Timeout(5 * time.Second),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.SyncQueueLen(8 * readMessages), // not 65,536, of which each reading allocated half a MiB
		nats.PingInterval(time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				h.Logger.Warn("the connection to NATS is lost", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			h.Logger.Info("connected to NATS again", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			h.Logger.Warn("NATS reports an error", "err", err)
		}),
	}
	return append(all, o.access()...)
}

// access returns who connects. Each error names the option that it is about.
func (o Options) access() (all []nats.Option) {
	add := func(name, file string, use nats.Option) {
		if file == "" {
			return
		}
		all = append(all, func(n *nats.Options) error {
			_, err := os.Stat(file)
			if err == nil {
				err = use(n)
			}
			if err != nil {
				return fmt.Errorf("--%s: %w", name, err)
			}
			return nil
		})
	}
	add("storage.nats-creds", o.Creds, nats.UserCredentials(o.Creds))
	add("storage.nats-nkey", o.NKey, func(n *nats.Options) error {
		key, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return fmt.Errorf("read the seed in %s: %w", o.NKey, err)
		}
		return key(n)
	})
	add("storage.nats-tlsca", o.TLSCA, nats.RootCAs(o.TLSCA))
	add("storage.nats-tlscert", o.TLSCert, nats.ClientCert(o.TLSCert, o.TLSKey))
	return all
}

// remedy says which options an error of connecting is about.
func remedy(err error) error {
	text := err.Error()
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return fmt.Errorf("%w: --storage.nats-tlsca must have the authority of the servers' certificates, and --storage.nats-url a name that is in them", err)
	case strings.Contains(text, "remote error: tls:") || strings.Contains(text, "tls error: connection closed by remote"):
		return fmt.Errorf("%w: --storage.nats-tlscert and --storage.nats-tlskey must be a certificate that the servers ask for", err)
	case errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrNkeysNotSupported):
		return fmt.Errorf("%w: the servers know no such user: give one by --storage.nats-creds, --storage.nats-nkey, or with a password in --storage.nats-url", err)
	}
	return err
}

// answer is what the server says to a request.
type answer struct {
	Error *jetstream.APIError `json:"error"`

	Seq     uint64    `json:"seq"`     // of a message that was stored
	Created time.Time `json:"created"` // of a stream
	Config  struct {
		Metadata map[string]string `json:"metadata"`
	} `json:"config"` // of a stream
	State struct {
		First uint64 `json:"first_seq"`
		Last  uint64 `json:"last_seq"`
	} `json:"state"`
	Message struct {
		Data string `json:"data"`
	} `json:"message"`
}

func (s *server) ask(ctx context.Context, m *nats.Msg) (a answer, err error) {
	r, err := s.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return a, fmt.Errorf("an answer that is none of JetStream's: %w", err)
	}
	if a.Error != nil {
		return a, a.Error
	}
	return a, nil
}

// patiently calls f until it is answered or ctx ends. A request that nobody was there to
// answer is lost: the stream may have a leader a moment later.
func patiently(ctx context.Context, f func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		err := f(attempt)
		cancel()
		if !unanswered(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("JetStream does not answer: %w", err)
		case <-time.After(attemptTime / 10):
		}
	}
}

// unanswered reports whether err says nothing but that there was no answer.
func unanswered(err error) bool {
	for _, none := range []error{
		context.DeadlineExceeded, nats.ErrNoResponders, nats.ErrTimeout, nats.ErrReconnectBufExceeded, nats.ErrDisconnected,
		jetstream.ErrNoStreamResponse, notReady,
	} {
		if errors.Is(err, none) {
			return true
		}
	}
	return false
}

// notReady is what servers say that are being started.
var notReady = &jetstream.APIError{ErrorCode: 10008}

func (s *server) publish(ctx context.Context, b []byte, expect uint64) (uint64, error) {
	a, err := s.ask(ctx, &nats.Msg{
		Subject: s.subject, Data: b,
		Header: nats.Header{jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(expect, 10)}},
	})
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return a.Seq, nil
	case !errors.As(err, &refused):
		return 0, err
	case refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return 0, errAgain
	case refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return 0, fmt.Errorf("%w: %w", errMoved, err)
	case refused.ErrorCode == tooMuch:
		return 0, refusal{fmt.Errorf("the stream is full, by a limit of its own or of the account: %w", err)}
	case refused.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return 0, refusal{err}
	}
	return 0, err
}

// tooMuch is the code for a stream that is full, and for a message that is too large.
const tooMuch jetstream.ErrorCode = 10077

// askPatiently asks the leader of the stream for something that changes nothing.
func (s *server) askPatiently(ctx context.Context, what string, data []byte) (a answer, err error) {
	err = patiently(ctx, func(ctx context.Context) (err error) {
		a, err = s.ask(ctx, &nats.Msg{Subject: api + what + s.name, Data: data})
		return err
	})
	return a, err
}

func (s *server) ends(ctx context.Context) (first, last uint64, err error) {
	a, err := s.askPatiently(ctx, "STREAM.INFO.", nil)
	return max(a.State.First, 1), a.State.Last, err // it says 0 of a stream that never had a message
}

// What a label is in the metadata of the stream.
const (
	identityKey   = "pushbridge.identity"
	unfinishedKey = "pushbridge.unfinished"
)

func (s *server) about(ctx context.Context) (l label, err error) {
	a, err := s.askPatiently(ctx, "STREAM.INFO.", nil)
	if err != nil {
		return l, err
	}
	_, l.unfinished = a.Config.Metadata[unfinishedKey]
	if id, err := hex.DecodeString(a.Config.Metadata[identityKey]); err == nil && len(id) == len(l.id) {
		l.id = [16]byte(id)
		return l, nil
	}
	sum := sha256.Sum256([]byte(s.name + " " + a.Created.UTC().Format(time.RFC3339Nano)))
	copy(l.id[:], sum[:])
	return l, nil
}

func (s *server) label(ctx context.Context, l label) error {
	return patiently(ctx, func(ctx context.Context) error {
		st, err := s.js.Stream(ctx, s.name)
		if err != nil {
			return err
		}
		c := st.CachedInfo().Config
		c.Metadata = maps.Clone(c.Metadata)
		if c.Metadata == nil {
			c.Metadata = map[string]string{}
		}
		c.Metadata[identityKey] = hex.EncodeToString(l.id[:])
		delete(c.Metadata, unfinishedKey)
		if l.unfinished {
			c.Metadata[unfinishedKey] = "run pushbridge migrate again"
		}
		_, err = s.js.UpdateStream(ctx, c)
		return err
	})
}

// get asks the stream's leader: the client library would ask any server.
func (s *server) get(ctx context.Context, seq uint64) ([]byte, error) {
	a, err := s.askPatiently(ctx, "STREAM.MSG.GET.", fmt.Appendf(nil, `{"seq":%d}`, seq))
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return nil, errNone
	}
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(a.Message.Data)
}

// What one reading asks for.
const (
	readMessages = 512
	readBytes    = 4 * mib
)

func (s *server) read(ctx context.Context, seq uint64) (some []message, err error) {
	err = patiently(ctx, func(ctx context.Context) (err error) {
		some, err = s.readOnce(ctx, seq)
		return err
	})
	return some, err
}

func (s *server) readOnce(ctx context.Context, seq uint64) ([]message, error) {
	inbox := s.nc.NewRespInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // of use to nobody any more
	err = s.nc.PublishMsg(&nats.Msg{
		Subject: api + "DIRECT.GET." + s.name, Reply: inbox,
		Data: fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d}`, seq, readMessages, readBytes),
	})
	if err != nil {
		return nil, err
	}
	var some []message
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case err != nil && len(some) > 0:
			return some, nil // the rest did not come
		case err != nil:
			return nil, err
		case m.Header.Get("Status") != "":
			return some, nil // the end, or nothing
		}
		n, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a message without its sequence: %w", err)
		}
		some = append(some, message{n, m.Data})
	}
}

func (s *server) follow(f func(message)) error {
	_, err := s.nc.Subscribe(s.tail, func(m *nats.Msg) {
		if n, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64); err == nil {
			f(message{n, m.Data})
		}
	})
	return err
}

func (s *server) purge(ctx context.Context, seq uint64) error {
	st, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return err
	}
	return st.Purge(ctx, jetstream.WithPurgeSequence(seq))
}

func (s *server) put(ctx context.Context, name string, write func(io.Writer) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		_ = w.CloseWithError(err) // never fails
		written <- err
	}()
	_, err := s.store.Put(ctx, jetstream.ObjectMeta{Name: name}, r)
	_ = r.CloseWithError(io.ErrClosedPipe) // so that write ends when Put gave up
	if werr := <-written; werr != nil && (err == nil || !errors.Is(werr, io.ErrClosedPipe)) {
		err = werr
	}
	return err
}

func (s *server) object(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := s.store.Get(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("%w: %w", errNotWhole, err)
	}
	if err != nil {
		return nil, err
	}
	return digestReader{r}, nil
}

// digestReader tells damage from what may pass.
type digestReader struct{ jetstream.ObjectResult }

func (r digestReader) Read(p []byte) (int, error) {
	n, err := r.ObjectResult.Read(p)
	if errors.Is(err, jetstream.ErrDigestMismatch) {
		err = fmt.Errorf("%w: %w", errNotWhole, err)
	}
	return n, err
}

// remove removes an object, and then the word that it was removed: those would become
// more for ever.
func (s *server) remove(ctx context.Context, name string) error {
	if err := s.store.Delete(ctx, name); err != nil {
		return err
	}
	st, err := s.js.Stream(ctx, "OBJ_"+s.name)
	if err != nil {
		return err
	}
	meta := "$O." + s.name + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
	return st.Purge(ctx, jetstream.WithPurgeSubject(meta))
}

func (s *server) objects(ctx context.Context) ([]string, error) {
	list, err := s.store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, nil
	}
	var names []string
	for _, o := range list {
		names = append(names, o.Name)
	}
	return names, err
}

func (s *server) close() { s.nc.Close() }
