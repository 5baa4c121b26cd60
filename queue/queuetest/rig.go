package queuetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/queue"
)

// record is the record type of the cases.
type record struct {
	time    int64
	samples int
	body    string
}

var errDecode = errors.New("no record of these tests")

var codec = queue.Codec[record]{
	Encode:  encode,
	Pack:    pack,
	Alike:   alike,
	Diff:    diff,
	Patch:   patch,
	Decode:  decode,
	Samples: func(r record) int { return r.samples },
	Time:    func(r record) int64 { return r.time },
	Size:    func(r record) int { return len(r.body) + 64 },
}

func encode(dst []byte, r record) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.time))
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.samples))
	return append(dst, r.body...)
}

func decode(b []byte) (record, error) {
	if len(b) < 12 || strings.HasPrefix(string(b[12:]), "undecodable") {
		return record{}, errDecode
	}
	if strings.HasPrefix(string(b[12:]), "newer") {
		return record{}, fmt.Errorf("a test: %w", queue.ErrNewer)
	}
	return record{int64(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint32(b[8:])), string(b[12:])}, nil
}

// alikeBytes is how many bytes records share that are alike.
const alikeBytes = 10

func alike(r record) any {
	if len(r.body) < 2*alikeBytes {
		return nil
	}
	return r.body[:alikeBytes]
}

// diff leaves out what is alike. Without the very same base the record that comes back
// has another time.
func diff(dst []byte, base, r record) []byte {
	return encode(dst, record{r.time - base.time, r.samples, r.body[alikeBytes:]})
}

func patch(b []byte, base record) (record, error) {
	r, err := decode(b)
	return record{r.time + base.time, r.samples, base.body[:alikeBytes] + r.body}, err
}

// pack compresses bodies of an even length beforehand.
func pack(dst []byte, r record) ([]byte, queue.Packed) {
	body := []byte(r.body)
	if len(body) == 0 || len(body)%2 > 0 {
		return encode(dst, r), queue.Packed{}
	}
	r.body = ""
	block := snappy.Encode(nil, body)
	_, n := binary.Uvarint(block)
	return encode(dst, r), queue.Packed{Elements: block[n:], Len: len(body)}
}

// rig is a log on a place, driven step by step, and what is known of it.
type rig struct {
	*testing.T
	place *Place
	o     queue.Options
	now   time.Time
	store queue.Store
	log   *queue.Log[record]
	steps queue.Steps

	kept  map[uint64]record // reported done
	order []uint64          // their sequences, as they were reported
	sum   uint64            // samples of them
}

func newRig(t *testing.T, k Kind, c testCase) *rig {
	t.Helper()
	if c.o.PartBytes == 0 {
		c.o.PartBytes = 400
	}
	r := &rig{T: t, place: k.New(t, c.o), o: c.log, now: time.Unix(1_700_000_000, 0), kept: map[uint64]record{}}
	if r.o.RingBytes == 0 {
		r.o.RingBytes = 1 // readers read the store
	}
	r.o.Now = func() time.Time { return r.now }
	r.open()
	t.Cleanup(func() {
		if r.log != nil {
			r.close()
		}
	})
	return r
}

// open opens the log of the next process, so that it takes records.
func (r *rig) open() {
	r.Helper()
	r.openIdle()
	r.steps.Ready()
}

// openIdle opens the log of the next process.
func (r *rig) openIdle() {
	r.Helper()
	r.store = r.place.Store()
	l, err := queue.Open(r.store, r.o, codec)
	if err != nil {
		r.Fatalf("open: %v", err)
	}
	r.log, r.steps = l, l.Steps()
}

// close stops properly.
func (r *rig) close() {
	r.Helper()
	if err := errors.Join(r.steps.Finish(), r.log.Close()); err != nil {
		r.Errorf("close: %v", err)
	}
	r.log = nil
}

// restart stops properly and opens the log again.
func (r *rig) restart() {
	r.Helper()
	r.close()
	r.open()
}

// after lets something happen to the process, and opens the log again.
func (r *rig) after(happen func()) {
	r.Helper()
	happen()
	r.open()
}

// push queues a record.
func (r *rig) push(rec record) {
	r.Helper()
	if err := r.tryPush(rec, r.log.Generation()); err != nil {
		r.Fatalf("append: %v", err)
	}
}

func (r *rig) tryPush(rec record, generation uint64) error {
	return r.log.Append(rec, generation, func(seq uint64, err error) {
		if err != nil {
			return
		}
		if _, used := r.kept[seq]; used {
			r.Errorf("sequence %d is used twice", seq)
		}
		r.kept[seq] = rec
		r.order = append(r.order, seq)
		r.sum += uint64(rec.samples)
	})
}

// add commits a record.
func (r *rig) add(rec record) {
	r.Helper()
	r.push(rec)
	r.steps.Commit()
}

// fill commits n records with 1, 2, 3, … samples, each in a batch of its own.
func (r *rig) fill(n int) {
	r.Helper()
	for i := range n {
		r.add(record{time: int64(i), samples: i + 1, body: strings.Repeat("0123456789", 1+i%9)})
		if i%5 == 4 {
			r.steps.Maintain()
		}
	}
}

// got is what a reader came across.
type got struct {
	seqs    []uint64
	samples uint64
	gaps    []queue.GapError
	missing uint64 // samples of the gaps
}

// drain reads everything there is at present, and compares records with those that were
// reported done.
func (r *rig) drain(reader *queue.Reader[record]) (g got) {
	r.Helper()
	for {
		it, ok, err := reader.TryNext()
		var gap *queue.GapError
		switch {
		case errors.As(err, &gap):
			g.gaps, g.missing = append(g.gaps, *gap), g.missing+gap.Samples
			if !gap.Exact {
				r.Errorf("%v: not exact", gap)
			}
		case err != nil:
			r.Fatalf("read: %v", err)
		case !ok:
			return g
		case !it.Ephemeral:
			if want := r.kept[it.Seq]; it.Record != want {
				r.Errorf("record %d is %+v, want %+v", it.Seq, it.Record, want)
			}
			g.seqs, g.samples = append(g.seqs, it.Seq), g.samples+uint64(it.Record.samples)
		}
	}
}

// whole holds the log to having everything that was reported done, for a reader and for
// the state.
func (r *rig) whole() {
	r.Helper()
	reader := r.log.NewReader(0)
	g := r.drain(reader)
	if len(g.gaps) > 0 || !slices.Equal(g.seqs, r.order) || g.samples != r.sum {
		r.Errorf("read %v with %d samples and the gaps %v, want %v with %d", g.seqs, g.samples, g.gaps, r.order, r.sum)
	}
	if total, known := reader.Total(); !known || total != r.sum {
		r.Errorf("the reader says %d samples, known %t, want %d", total, known, r.sum)
	}
	if err := reader.Close(); err != nil {
		r.Error(err)
	}
	last := uint64(0)
	if len(r.order) > 0 {
		last = r.order[len(r.order)-1]
	}
	if head := r.log.Head(); head < last {
		r.Errorf("head is %d, %d was reported done", head, last)
	}
	if n := r.log.Samples(); n != r.sum {
		r.Errorf("%d samples ever, want %d", n, r.sum)
	}
}

// replayed holds the state to what was reported done behind after.
func (r *rig) replayed(after uint64) {
	r.Helper()
	var seqs []uint64
	err := r.log.Replay(after, func(rec record, seq uint64) error {
		if rec != r.kept[seq] {
			r.Errorf("record %d came back as %+v, want %+v", seq, rec, r.kept[seq])
		}
		seqs = append(seqs, seq)
		return nil
	})
	want := slices.DeleteFunc(slices.Clone(r.order), func(seq uint64) bool { return seq <= after })
	if err != nil || !slices.Equal(seqs, want) {
		r.Errorf("replayed %v, %v, want %v", seqs, err, want)
	}
}

// cursor opens the cursor of a destination.
func (r *rig) cursor(id string, shards int) *queue.Cursor {
	r.Helper()
	c, _, err := r.log.OpenCursor(id, shards)
	if err != nil {
		r.Fatalf("open cursor: %v", err)
	}
	return c
}

// snapshot writes one at the head.
func (r *rig) snapshot(content string) {
	r.Helper()
	err := r.log.WriteSnapshot(r.log.Head(), r.log.Floor(), func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
	if err != nil {
		r.Errorf("write snapshot: %v", err)
	}
}

// run runs the log in the place of the steps until stop is called, which closes it.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	l := r.log
	r.log = nil
	go func() { ended <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := errors.Join(<-ended, l.Close()); err != nil {
			r.Errorf("stop: %v", err)
		}
	}
}

// must fails the case on an error.
func (r *rig) must(errs ...error) {
	r.Helper()
	if err := errors.Join(errs...); err != nil {
		r.Fatal(err)
	}
}
