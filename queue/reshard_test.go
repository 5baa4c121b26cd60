package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A cursor that gets another number of shards goes on from its smallest position,
// in memory and on disk, over a restart too.
func TestReshard(t *testing.T) {
	for _, tt := range []struct{ name, dir string }{{"disk", t.TempDir()}, {"memory", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Open(Options{Dir: tt.dir}, reshardCodec)
			if err != nil {
				t.Fatal(err)
			}
			c, _, err := l.OpenCursor("a", 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []error{c.Acked(0, 3), c.Acked(1, 7), c.Sent(1, 9), c.Reshard(3)} {
				if step != nil {
					t.Fatal(step)
				}
			}
			want := [][2]uint64{{3, 9}, {3, 9}, {3, 9}}
			if diff := cmp.Diff(want, positions(c)); diff != "" {
				t.Errorf("after Reshard (-want +got):\n%s", diff)
			}
			if err := c.Reshard(0); err == nil {
				t.Error("0 shards were accepted")
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if tt.dir == "" {
				return
			}
			l, err = Open(Options{Dir: tt.dir}, reshardCodec)
			if err != nil {
				t.Fatal(err)
			}
			if c, _, err = l.OpenCursor("a", 3); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, positions(c)); diff != "" {
				t.Errorf("after a restart (-want +got):\n%s", diff)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func positions(c *Cursor) [][2]uint64 {
	var all [][2]uint64
	for i := range c.Shards() {
		acked, sent := c.Position(i)
		all = append(all, [2]uint64{acked, sent})
	}
	return all
}

var reshardCodec = Codec[string]{
	Encode:  func(dst []byte, r string) []byte { return append(dst, r...) },
	Decode:  func(b []byte) (string, error) { return string(b), nil },
	Samples: func(string) int { return 1 },
	Time:    func(string) int64 { return 0 },
	Size:    func(r string) int { return len(r) },
}
