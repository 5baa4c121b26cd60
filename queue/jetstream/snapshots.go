package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// Snapshots lists those there are.
func (s *Store) Snapshots() []queue.Snapshot {
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	all := make([]queue.Snapshot, len(s.v.snapshots))
	for i := range all {
		all[i] = s.v.snapshots[i].describe(s.v.era)
	}
	return all
}

// WriteSnapshot puts an object, looks whether it can be read, and then writes to the stream
// that it is there. Objects that the stream does not name go.
func (s *Store) WriteSnapshot(n queue.Snapshot, write func(io.Writer) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, snapshotTime)
	defer cancel()
	s.v.mu.RLock()
	k := snapshot{seq: n.Seq, floor: n.Floor, total: n.Total, created: n.Created.UnixNano(), era: s.v.era}
	s.v.mu.RUnlock()
	if err := s.putObject(ctx, &k, write); err != nil {
		return err
	}
	err := s.readObject(ctx, k.name, func(r io.Reader) (err error) {
		k.bytes, err = io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.chain.write(func(w *writing) { w.body = appendItem(w.body, itemSnapshot, appendSnapshot(nil, &k)) }); err != nil {
		return err
	}
	s.removeObjects(ctx)
	return nil
}

// putObject puts an object, and names it in k: another one while the servers that keep them have
// nobody who leads, since names are never used again.
func (s *Store) putObject(ctx context.Context, k *snapshot, write func(io.Writer) error) error {
	for give := time.Now().Add(s.o.Patience); ; time.Sleep(objectPause) {
		k.name = fmt.Sprintf("%020d-%016x", k.seq, rand.Uint64())
		err := s.st.put(ctx, k.name, write)
		switch {
		case err == nil:
			return nil
		case !unanswered(err) || ctx.Err() != nil || time.Now().After(give):
			return fmt.Errorf("put object %s: %w", k.name, err)
		}
	}
}

// snapshotTime is how long a snapshot may take.
const snapshotTime = 5 * time.Minute

// How long an object is asked for that is not whole: the client library asks any server,
// also one that does not have yet what another has acknowledged. Such a server says that
// there is no object, or ends it early, which looks like damage.
const (
	objectPatience = 5 * time.Second
	objectPause    = 50 * time.Millisecond
)

// readObject gives read the object, from the start again while it is not whole.
func (s *Store) readObject(ctx context.Context, name string, read func(io.Reader) error) error {
	give := time.Now().Add(objectPatience)
	for {
		bad, err := s.tryObject(ctx, name, read)
		if bad == nil {
			return err
		}
		if !errors.Is(bad, errNotWhole) || time.Now().After(give) {
			return fmt.Errorf("read object %s: %w", name, bad)
		}
		time.Sleep(objectPause)
	}
}

// tryObject returns what is wrong with the object, or else the error of read.
func (s *Store) tryObject(ctx context.Context, name string, read func(io.Reader) error) (bad, err error) {
	o, err := s.st.object(ctx, name)
	if err != nil {
		return err, nil
	}
	r := &objectReader{r: o}
	if err = read(r); err == nil {
		_, _ = io.Copy(io.Discard, r) // to the end, where its checksum is compared
	}
	_ = o.Close() // was only read from
	return r.bad, err
}

// objectReader remembers what is wrong with an object.
type objectReader struct {
	r   io.Reader
	bad error
}

func (r *objectReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.bad = err
	}
	return n, err
}

// removeObjects removes what the stream does not name. What stays costs space, and goes the
// next time.
func (s *Store) removeObjects(ctx context.Context) {
	names, err := s.st.objects(ctx)
	for _, name := range names {
		s.v.mu.RLock()
		kept := slices.ContainsFunc(s.v.snapshots, func(k snapshot) bool { return k.name == name })
		s.v.mu.RUnlock()
		if !kept {
			err = errors.Join(err, s.st.remove(ctx, name))
		}
	}
	if err != nil {
		s.host.Logger.Warn("cannot remove an old snapshot", "err", err)
	}
}

// ReadSnapshot reads the newest object that is whole.
func (s *Store) ReadSnapshot(read func(io.Reader) error) (queue.Snapshot, error) {
	for {
		s.v.mu.RLock()
		kept, era := slices.Clone(s.v.snapshots), s.v.era
		s.v.mu.RUnlock()
		if len(kept) == 0 {
			return queue.Snapshot{}, nil
		}
		ctx, cancel := context.WithTimeout(s.ctx, snapshotTime)
		err := s.readObject(ctx, kept[0].name, read)
		cancel()
		if !errors.Is(err, errNotWhole) {
			return kept[0].describe(era), err
		}
		s.v.mu.Lock()
		s.v.snapshots = slices.DeleteFunc(s.v.snapshots, func(k snapshot) bool { return k.name == kept[0].name })
		s.v.damage = append(s.v.damage, fmt.Errorf("object %s: %w", kept[0].name, err))
		s.v.mu.Unlock()
	}
}
