package jetstream

import (
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/queue/queuetest"
)

func streamSide(t *testing.T, f *fakeStream) queuetest.Side {
	open := func() *Store {
		s, _ := f.open(Options{ID: "a", PartBytes: 400, MaxBytes: -1, Patience: time.Millisecond, Lease: 50 * time.Millisecond})
		return s
	}
	return queuetest.Side{
		Plain:  func() queue.Store { return open() },
		Store:  func() queue.Movable { return Movable{open()} },
		Damage: func(seq uint64) { f.damage(t, seq) },
	}
}

func directorySide(t *testing.T) queuetest.Side {
	o := disk.Options{Dir: t.TempDir(), SegmentBytes: 400, MaxBytes: -1, MinFreeBytes: -1}
	return queuetest.Side{
		Plain: func() queue.Store { return disk.New(o) },
		Store: func() queue.Movable { return disk.NewMovable(o) },
	}
}

// TestMove moves a directory to a stream, and back.
func TestMove(t *testing.T) {
	t.Run("to a stream", func(t *testing.T) { queuetest.Move(t, directorySide(t), streamSide(t, newFake())) })
	t.Run("to a directory", func(t *testing.T) {
		from := streamSide(t, newFake())
		from.Damage = nil
		queuetest.Move(t, from, directorySide(t))
	})
	t.Run("damaged", func(t *testing.T) { queuetest.Move(t, streamSide(t, newFake()), directorySide(t)) })
}
