package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/queue"
)

// rec is the record type of the tests.
type rec struct {
	Time    int64
	Samples int
	Body    string
}

var errBadRec = errors.New("no record of the tests")

var testCodec = queue.Codec[rec]{
	Encode:  encodeRec,
	Pack:    packRec,
	Alike:   alikeRec,
	Diff:    diffRec,
	Patch:   patchRec,
	Decode:  decodeRec,
	Samples: func(r rec) int { return r.Samples },
	Time:    func(r rec) int64 { return r.Time },
	Size:    func(r rec) int { return len(r.Body) + 64 },
}

func encodeRec(dst []byte, r rec) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Time))
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Samples))
	return append(dst, r.Body...)
}

func decodeRec(b []byte) (rec, error) {
	if len(b) < 12 || strings.HasPrefix(string(b[12:]), "undecodable") {
		return rec{}, errBadRec
	}
	return rec{
		Time:    int64(binary.BigEndian.Uint64(b)),
		Samples: int(binary.BigEndian.Uint32(b[8:])),
		Body:    string(b[12:]),
	}, nil
}

// alikeRec: bodies that begin with ~ are alike when they have the same before a colon.
func alikeRec(r rec) any {
	if kind, _, ok := strings.Cut(r.Body, ":"); ok && strings.HasPrefix(kind, "~") {
		return kind
	}
	return nil
}

// diffRec leaves out what is alike. Without the very same base the record that comes
// back has another time.
func diffRec(dst []byte, base, r rec) []byte {
	kind, rest, _ := strings.Cut(r.Body, ":")
	if !strings.HasPrefix(base.Body, kind+":") {
		panic("not alike")
	}
	return encodeRec(dst, rec{Time: r.Time - base.Time, Samples: r.Samples, Body: rest})
}

func patchRec(b []byte, base rec) (rec, error) {
	r, err := decodeRec(b)
	if err != nil {
		return r, err
	}
	kind, _, _ := strings.Cut(base.Body, ":")
	return rec{Time: r.Time + base.Time, Samples: r.Samples, Body: kind + ":" + r.Body}, nil
}

// packRec compresses some of the bodies of random histories beforehand.
func packRec(dst []byte, r rec) ([]byte, queue.Packed) {
	if !strings.HasSuffix(r.Body, ".") || len(r.Body)%2 > 0 {
		return encodeRec(dst, r), queue.Packed{}
	}
	block := snappy.Encode(nil, []byte(r.Body))
	_, n := binary.Uvarint(block)
	whole := r.Body
	r.Body = ""
	return encodeRec(dst, r), queue.Packed{Elements: block[n:], Len: len(whole)}
}

// options are those of a log and of its store.
type options struct {
	Dir           string
	Fsync         FsyncMode
	FsyncInterval time.Duration
	SegmentBytes  int64
	MaxBytes      int64
	MinFreeBytes  int64

	RingBytes        int64
	MaxQueuedBytes   int64
	OnFull           queue.OnFull
	OrphanRetention  time.Duration
	SnapshotBytes    int64
	SnapshotInterval time.Duration
	Logger           *slog.Logger
	Registerer       prometheus.Registerer
	Now              func() time.Time
}

func (o *options) store() Options {
	return Options{
		Dir: o.Dir, Fsync: o.Fsync, FsyncInterval: o.FsyncInterval, SegmentBytes: o.SegmentBytes,
		MaxBytes: o.MaxBytes, MinFreeBytes: o.MinFreeBytes,
	}
}

func (o *options) log() queue.Options {
	return queue.Options{
		RingBytes: o.RingBytes, MaxQueuedBytes: o.MaxQueuedBytes, OnFull: o.OnFull, OrphanRetention: o.OrphanRetention,
		SnapshotBytes: o.SnapshotBytes, SnapshotInterval: o.SnapshotInterval,
		Logger: o.Logger, Registerer: o.Registerer, Now: o.Now,
	}
}

// testLog is a log that can be driven step by step, and its store.
type testLog struct {
	*queue.Log[rec]
	disk  *Store
	steps queue.Steps
}

func open(fs fsys, o options) (*testLog, error) {
	d := newStore(fs, o.store())
	l, err := queue.Open(d, o.log(), testCodec)
	if err != nil {
		return nil, err
	}
	return &testLog{l, d, l.Steps()}, nil
}

func (l *testLog) commitQueued() { l.steps.Commit() }
func (l *testLog) reopen()       { l.steps.Ready() }
func (l *testLog) syncInterval() { l.steps.Sync() }
func (l *testLog) maintain()     { l.steps.Maintain() }
func (l *testLog) finish() error { return l.steps.Finish() }

// damage returns what was found damaged.
func (l *testLog) damage() []*CorruptionError { return l.disk.dir.damage.list() }

// bytes returns what the segments take.
func (l *testLog) bytes() int64 { _, n := l.disk.segments.size(); return n }

// What the tests wait for.
const (
	maxBackoff    = 5 * time.Second  // between attempts to make the store work again
	snapshotRetry = 10 * time.Second // between attempts to write a snapshot
	placeInterval = time.Second      // between looks at the directory
)

func at(acked, sent uint64) queue.Position { return queue.Position{Acked: acked, Sent: sent} }

// start opens a log and runs it until the test ends or stop is called. stop
// returns after Run and closes the log.
func start(t testing.TB, o options) (l *testLog, stop func()) {
	t.Helper()
	l, err := open(osFS{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return l, run(t, l)
}

func run(t testing.TB, l *testLog) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// add appends one record and waits for it.
func add(t testing.TB, l *testLog, r rec) uint64 {
	t.Helper()
	seq, err := tryAdd(l, r)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return seq
}

// tryAdd appends one record and returns what became of it.
func tryAdd(l *testLog, r rec) (seq uint64, err error) {
	done := make(chan error, 1)
	err = l.Append(r, l.Generation(), func(s uint64, err error) { seq = s; done <- err })
	if err == nil {
		err = <-done
	}
	return seq, err
}

// push appends one record and does not wait for it.
func push(t testing.TB, l *testLog, r rec, done func(seq uint64)) {
	t.Helper()
	err := l.Append(r, l.Generation(), func(seq uint64, err error) {
		if err == nil && done != nil {
			done(seq)
		}
	})
	if err != nil {
		t.Fatalf("append: %v", err)
	}
}

// next returns the next item of r, and fails the test when none comes.
func next(t testing.TB, r *queue.Reader[rec]) (queue.Item[rec], error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	it, err := r.Next(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("no record came")
	}
	return it, err
}

func TestAppendReadReopen(t *testing.T) {
	dir := t.TempDir()
	l, stop := start(t, options{Dir: dir})
	r := l.NewReader(0)
	for i := range 10 {
		add(t, l, rec{Time: int64(i), Samples: i, Body: strings.Repeat("x", i*100)})
		it, err := next(t, r)
		if err != nil || it.Seq != uint64(i+1) || len(it.Record.Body) != i*100 {
			t.Fatalf("record %d: got %+v, %v", i+1, it, err)
		}
	}
	if got := l.SamplesAfter(3); got != 45-0-1-2 {
		t.Errorf("samples after 3: got %d, want 42", got)
	}
	stop()
	l, stop = start(t, options{Dir: dir})
	defer stop()
	n := 0
	err := l.Replay(2, func(r rec, seq uint64) error {
		n++
		if int(seq) != n+2 || r.Samples != n+1 {
			t.Errorf("replayed %+v at %d as number %d", r, seq, n)
		}
		return nil
	})
	if err != nil || n != 8 || l.Head() != 10 || l.Floor() != 9 {
		t.Errorf("replay: %v, %d records, head %d, floor %d", err, n, l.Head(), l.Floor())
	}
	if err := l.WriteSnapshot(10, 9, func(w io.Writer) error { _, err := w.Write([]byte("state")); return err }); err != nil {
		t.Error(err)
	}
	c, isNew, err := l.OpenCursor("a", 2)
	if err != nil || !isNew {
		t.Fatal(err, isNew)
	}
	if a, s := c.Position(0); a != 10 || s != 10 {
		t.Errorf("new cursor at %d, %d", a, s)
	}
}

// fixPreamble makes the checksum of the first bytes good.
func fixPreamble(b []byte) {
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli()))
}
