package disk

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/pushbridge/pushbridge/queue"
)

// snapshots are those that there are.
type snapshots struct {
	d *directory

	mu   sync.Mutex
	kept []snapshotInfo // newest first
}

func (s *snapshots) list() []snapshotInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// described returns what the log is told about them.
func (s *snapshots) described() []queue.Snapshot {
	kept := s.list()
	all := make([]queue.Snapshot, len(kept))
	for i, k := range kept {
		all[i] = k.describe(s.d.era.Load())
	}
	return all
}

// bytes returns the size of all snapshots.
func (s *snapshots) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int64(0)
	for _, k := range s.kept {
		n += k.bytes
	}
	return n
}

// write writes a snapshot, and removes the oldest when there are more than are kept.
// One that stays costs disk space only, and is removed after the next start.
func (s *snapshots) write(h snapshotHeader, write func(io.Writer) error) error {
	info, err := s.d.writeSnapshot(h, write)
	if err != nil {
		return err
	}
	for _, old := range s.add(info) {
		if err := s.d.fs.Remove(s.d.path(old.name)); err != nil {
			s.d.log.Warn("cannot remove an old snapshot", "file", old.name, "err", err)
		}
	}
	return nil
}

// add notes a new snapshot and returns those to remove.
func (s *snapshots) add(info snapshotInfo) []snapshotInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(k snapshotInfo) bool { return k.name == info.name }) // replaced
	s.kept = slices.Insert(s.kept, 0, info)
	if len(s.kept) <= queue.KeepSnapshots {
		return nil
	}
	old := slices.Clone(s.kept[queue.KeepSnapshots:])
	s.kept = s.kept[:queue.KeepSnapshots]
	return old
}

func (s *snapshots) drop(info snapshotInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(k snapshotInfo) bool { return k.name == info.name })
}

// read gives the newest good snapshot to read. One whose checksums are wrong is moved
// aside.
func (s *snapshots) read(read func(io.Reader) error) (queue.Snapshot, error) {
	for {
		kept := s.list()
		if len(kept) == 0 {
			return queue.Snapshot{}, nil
		}
		newest := kept[0]
		err := s.d.readSnapshot(newest, read)
		if !errors.As(err, new(*snapshotDamage)) {
			return newest.describe(s.d.era.Load()), err
		}
		s.d.report(&CorruptionError{File: newest.name, Length: newest.bytes, Err: err})
		s.d.moveAside(newest.name)
		s.drop(newest)
	}
}
