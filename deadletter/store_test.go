package deadletter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testBytes bounds the stores of these tests.
const testBytes = 1 << 20

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, testBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func letter(destination string, shard int, seq, samples uint64, body string) Letter {
	return Letter{
		Destination: destination, Shard: shard, Seq: seq, Reason: "refused", Status: 400, Text: "no",
		Time: time.Unix(1e9, 0).UTC(), Samples: samples, Series: int(samples), Body: []byte(body),
	}
}

func put(t *testing.T, s *Store, l ...Letter) {
	t.Helper()
	if err := s.Append(l); err != nil {
		t.Fatal(err)
	}
}

// held are the bodies of what a store has, in order.
func held(t *testing.T, s *Store) (out []string) {
	t.Helper()
	if err := s.Each("", func(l Letter) error {
		out = append(out, fmt.Sprintf("%s %d %s", l.Destination, l.Samples, l.Body))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLettersSurvive is promise 1: nothing is closed, as by kill -9, and another store
// reads it all, in the order of the records.
func TestLettersSurvive(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, letter("a", 0, 7, 2, "second"), letter("b", 0, 3, 1, "first"))
	put(t, s, letter("a", 1, 9, 5, "third"))
	for range 2 {
		s = open(t, dir)
		same(t, []string{"b 1 first", "a 2 second", "a 5 third"}, held(t, s))
		same(t, []uint64{1, 3}, s.IDs("a", ""))
	}
	l, err := s.Read(1)
	want := letter("a", 0, 7, 2, "second")
	want.ID = 1
	if err != nil {
		t.Fatal(err)
	}
	same(t, want, l)
	put(t, s, letter("a", 0, 10, 1, "fourth"))
	same(t, []uint64{1, 3, 4}, s.IDs("a", ""))
}

// TestPiles sums letters up by destination and reason, and finds them by both.
func TestPiles(t *testing.T) {
	at := func(seconds int64, reason string, l Letter) Letter {
		l.Time, l.Reason = time.Unix(seconds, 0).UTC(), reason
		return l
	}
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, at(30, "refused", letter("a", 0, 7, 2, "second")), at(20, "rejected", letter("a", 0, 8, 1, "")),
		at(10, "refused", letter("a", 1, 6, 5, "first")), at(40, "refused", letter("b", 0, 9, 1, "another's")))
	for range 2 {
		all := s.Summaries()
		for i := range all {
			for j := range all[i].Piles {
				if p := &all[i].Piles[j]; p.Bytes < 150 || p.Bytes > 500 {
					t.Errorf("%s %s: %d bytes", all[i].Destination, p.Reason, p.Bytes)
				}
				all[i].Piles[j].Bytes = 0
			}
		}
		moment := func(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
		same(t, []Summary{
			{Destination: "a", Letters: 3, Samples: map[string]uint64{"refused": 7, "rejected": 1}, Piles: []Pile{
				{Reason: "refused", Letters: 2, Samples: 7, Oldest: moment(10), Newest: moment(30), Latest: 1},
				{Reason: "rejected", Letters: 1, Samples: 1, Oldest: moment(20), Newest: moment(20), Latest: 2},
			}},
			{Destination: "b", Letters: 1, Samples: map[string]uint64{"refused": 1}, Piles: []Pile{
				{Reason: "refused", Letters: 1, Samples: 1, Oldest: moment(40), Newest: moment(40), Latest: 4},
			}},
		}, all)
		same(t, []uint64{3, 1}, s.IDs("a", "refused"))
		same(t, []uint64{3, 1, 4}, s.IDs("", "refused"))
		s = open(t, dir)
	}
}

// TestUnsettledLettersAreTakenBack is promise 2.
func TestUnsettledLettersAreTakenBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, letter("a", 0, 5, 1, "settled"), letter("a", 1, 5, 1, "not"), letter("b", 0, 5, 1, "another"))
	s = open(t, dir)
	if err := s.Settle("a", []uint64{5, 4}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		same(t, []string{"a 1 settled", "b 1 another"}, held(t, s))
		s = open(t, dir)
	}
	// Once settled they stay so, whatever becomes of the shards.
	if err := s.Settle("a", []uint64{0}); err != nil {
		t.Fatal(err)
	}
	same(t, []string{"a 1 settled", "b 1 another"}, held(t, s))
	put(t, s, letter("a", 3, 9, 1, "of a shard that is gone"))
	if err := s.Settle("a", []uint64{9}); err != nil {
		t.Fatal(err)
	}
	same(t, []string{"a 1 settled", "b 1 another"}, held(t, s))
}

// TestRedeem is promise 3: letters that are done with, and what is left of one.
func TestRedeem(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, letter("a", 0, 1, 2, "one"), letter("a", 0, 2, 3, "two"), letter("a", 0, 3, 1, "three"))
	rest := letter("a", 0, 2, 1, "rest of two")
	for _, r := range []Redeemed{
		{IDs: []uint64{2}, Destination: "a", Samples: map[string]uint64{"refused": 2}, Rest: &rest},
		{IDs: []uint64{1}, Destination: "a", Samples: map[string]uint64{"refused": 2}},
	} {
		if err := s.Redeem(r); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		same(t, []string{"a 1 rest of two", "a 1 three"}, held(t, s))
		same(t, map[string]uint64{"refused": 4}, s.Redeemed("a"))
		s = open(t, dir)
		if err := s.Settle("a", []uint64{3}); err != nil {
			t.Fatal(err)
		}
	}
	sums := s.Summaries()
	sums[0].Piles = nil // TestPiles has those
	same(t, []Summary{{
		Destination: "a", Letters: 2, Samples: map[string]uint64{"refused": 2}, Redeemed: map[string]uint64{"refused": 4},
	}}, sums)
}

// A letter can be read, with all that was written of it, while it is sent once more.
func TestReadWhileTried(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, letter("one", 0, 1, 1, "body"))
	ids := s.IDs("one", "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			if err := s.Try(ids, i%2 == 0); err != nil {
				t.Error(err)
			}
		}
	}()
	for read := true; read; {
		select {
		case <-done:
			read = false
		default:
		}
		if l, err := s.Read(ids[0]); err != nil || string(l.Body) != "body" {
			t.Fatalf("read %q, %v", l.Body, err)
		}
	}
	if l, _ := s.Read(ids[0]); l.Tried {
		t.Error("what was said last does not hold")
	}
}

// TestBound is promise 4: the oldest go first and are counted, and what was redeemed
// before is still known when the files that said so are gone.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, letter("a", 0, 1, 1, "redeemed"))
	if err := s.Redeem(Redeemed{IDs: []uint64{1}, Destination: "a", Samples: map[string]uint64{"refused": 1}}); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 10_000)
	const letters = 500
	for i := range letters {
		put(t, s, letter("a", 0, uint64(i+2), 1, body))
		if size, _ := s.Bytes(); size > testBytes {
			t.Fatalf("%d bytes after %d letters", size, i)
		}
	}
	for range 2 {
		sum := s.Summaries()[0]
		if sum.Evicted == 0 || uint64(sum.Letters)+sum.Evicted != letters || sum.Letters < testBytes/2/10_000 {
			t.Errorf("%d letters, %d evicted", sum.Letters, sum.Evicted)
		}
		same(t, map[string]uint64{"refused": 1}, s.Redeemed("a"))
		ids := s.IDs("a", "")
		if ids[len(ids)-1] != letters+1 || ids[0] == 2 {
			t.Errorf("letters %d to %d are left", ids[0], ids[len(ids)-1])
		}
		s = open(t, dir)
		if got := onDisk(t, dir); got > testBytes {
			t.Errorf("%d bytes on disk", got)
		}
	}
}

func onDisk(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, Dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// TestFilesWithoutLettersGo: what was all redeemed takes no room.
func TestFilesWithoutLettersGo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	body := strings.Repeat("x", 10_000)
	for i := range 50 {
		put(t, s, letter("a", 0, uint64(i), 1, body))
		if err := s.Redeem(Redeemed{IDs: []uint64{uint64(i + 1)}, Destination: "a", Samples: map[string]uint64{"refused": 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if size := onDisk(t, dir); size > 200_000 {
		t.Errorf("%d bytes on disk, and no letter", size)
	}
	same(t, map[string]uint64{"refused": 50}, open(t, dir).Redeemed("a"))
}

// TestDamage is promise 5: each flipped byte costs one frame at most, and each torn end
// what was not all there.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 5 {
		put(t, s, letter("a", 0, uint64(i), 1, fmt.Sprint("body", i)))
	}
	file := s.path(s.number)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 3 {
		bad := append([]byte(nil), whole...)
		bad[at] ^= 0x55
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if n := len(held(t, s)); n < 4 || len(s.Damage()) != 1 {
			t.Fatalf("byte %d: %d letters, damage %v", at, n, s.Damage())
		}
	}
	last := 0
	for end := 0; end < len(whole); end += 37 {
		if err := os.WriteFile(file, whole[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		n := len(held(t, s))
		if n < last || n > 5 {
			t.Fatalf("cut at %d: %d letters, %d before", end, n, last)
		}
		last = n
		put(t, s, letter("a", 0, 99, 1, "after"))
		if got := held(t, open(t, dir)); len(got) != n+1 || got[n] != "a 1 after" {
			t.Fatalf("cut at %d: then %q", end, got)
		}
		if err := os.Remove(s.path(s.number)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWriteFailure: what cannot be written is an error, and the next letter finds a file.
func TestWriteFailure(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, letter("a", 0, 1, 1, "one"))
	if err := s.file.Close(); err != nil { // every write fails from now on
		t.Fatal(err)
	}
	if err := s.Append([]Letter{letter("a", 0, 2, 1, "two")}); err == nil {
		t.Error("no error")
	}
	put(t, s, letter("a", 0, 3, 1, "three"))
	same(t, []string{"a 1 one", "a 1 three"}, held(t, open(t, dir)))
	if _, failures := s.Bytes(); failures != 1 {
		t.Errorf("%d failures", failures)
	}
}

// TestView changes nothing, and sees what a running store has.
func TestView(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	v, err := View(dir)
	if err != nil || !v.Empty() {
		t.Errorf("of nothing: %v, %v", v, err)
	}
	put(t, s, letter("a", 0, 1, 1, "one"))
	if v, err = View(dir); err != nil {
		t.Fatal(err)
	}
	same(t, []string{"a 1 one"}, held(t, v))
	if err := Ask(dir, "a"); err != nil || !Waiting(dir) {
		t.Errorf("not asked: %v", err)
	}
	if d, asked := s.Asked(); d != "a" || !asked {
		t.Errorf("asked %t for %q", asked, d)
	}
	if _, asked := s.Asked(); asked || Waiting(dir) {
		t.Error("asked twice")
	}
}

// FuzzRead: whatever a file holds, it is read to its end, and what is found can be read
// again.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(dir, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	rest := letter("a", 0, 2, 1, "rest")
	if err := s.Append([]Letter{letter("a", 0, 1, 1, "one"), letter("b", 1, 2, 2, "two")}); err != nil {
		f.Fatal(err)
	}
	for _, r := range []Redeemed{{IDs: []uint64{2}, Destination: "b", Samples: map[string]uint64{"refused": 1}, Rest: &rest}} {
		if err := s.Redeem(r); err != nil {
			f.Fatal(err)
		}
	}
	if err := s.Settle("a", []uint64{0}); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(s.path(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(frameMagic + "\xff\xff\xff\xff"))
	f.Add(appendFrame(nil, kindLedger, []byte("\x02{}")))
	f.Add(appendFrame(nil, 99, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := newIndex()
		for _, r := range read(x, 1, data) {
			if r.Offset < 0 || r.Length <= 0 || r.Offset+r.Length > len(data) {
				t.Errorf("range %+v of %d bytes", r, len(data))
			}
		}
		for _, e := range x.inOrder(of("", "")) {
			fr, ok := frameAt(data, e.at)
			if !ok {
				t.Fatalf("no frame at %d", e.at)
			}
			if _, err := letterOf(fr); err != nil {
				t.Errorf("letter %d: %v", e.id, err)
			}
		}
		x.summaries()
	})
}
