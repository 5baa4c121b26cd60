package disk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

// A cursor that gets another number of shards goes on from its smallest position, over
// a restart too.
func TestReshard(t *testing.T) {
	dir := t.TempDir()
	l, err := open(osFS{}, options{Dir: dir})
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
	if diff := cmp.Diff(want, positionsOf(c)); diff != "" {
		t.Errorf("after Reshard (-want +got):\n%s", diff)
	}
	if err := c.Reshard(0); err == nil {
		t.Error("0 shards were accepted")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = open(osFS{}, options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if c, _, err = l.OpenCursor("a", 3); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, positionsOf(c)); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func positionsOf(c *queue.Cursor) [][2]uint64 {
	var all [][2]uint64
	for i := range c.Shards() {
		acked, sent := c.Position(i)
		all = append(all, [2]uint64{acked, sent})
	}
	return all
}
