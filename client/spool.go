package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/osfile"
	"github.com/pushbridge/pushbridge/wholefile"
)

// Spool is a directory of pushes that wait to be sent. Any number of processes may use
// it at the same time.
type Spool struct {
	dir      string
	maxBytes int64
}

// OpenSpool makes the directory, readable by its owner only, if it is not there.
func OpenSpool(dir string, maxBytes int64) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Spool{dir, maxBytes}, nil
}

// A push is a file: its number, 20 digits, and this suffix.
const (
	pushSuffix = ".push"
	badSuffix  = ".bad" // one that could not be read
	// Locks. The one is held for moments, the other while pushes are sent.
	changing = "lock"
	sending  = "sending.lock"
)

// header is the first line of a file; the body is the rest.
type header struct {
	Push
	Bytes int    `json:"bytes"`
	CRC   uint32 `json:"crc32c"`
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Add keeps p behind what is there. dropped is how many of the oldest had to go for it.
func (s *Spool) Add(p Push) (dropped int, err error) {
	unlock, err := s.lock(context.Background(), changing)
	if err != nil {
		return 0, err
	}
	defer unlock()
	files, err := s.list()
	if err != nil {
		return 0, err
	}
	// Of processes that were killed while they wrote; nobody writes at the moment. What cannot be
	// removed now can be later.
	_ = wholefile.RemoveAllUnfinished(s.dir, func(name string) bool { return strings.HasSuffix(name, pushSuffix) })
	line, err := json.Marshal(header{p, len(p.Body), crc32.Checksum(p.Body, castagnoli())})
	if err != nil {
		return 0, err
	}
	size := int64(len(line) + 1 + len(p.Body))
	if size > s.maxBytes {
		return 0, fmt.Errorf("%d bytes are more than the spool may hold, %d", size, s.maxBytes)
	}
	if dropped, err = s.makeRoom(files, size); err != nil {
		return dropped, err
	}
	next := uint64(1)
	if len(files) > 0 {
		next = files[len(files)-1].number + 1
	}
	name := filepath.Join(s.dir, fmt.Sprintf("%020d%s", next, pushSuffix))
	return dropped, wholefile.WriteBytes(name, slices.Concat(line, []byte("\n"), p.Body))
}

// makeRoom removes the oldest until size bytes more are within the bound.
func (s *Spool) makeRoom(files []file, size int64) (dropped int, err error) {
	for _, f := range files {
		size += f.size
	}
	for _, f := range files {
		if size <= s.maxBytes {
			return dropped, nil
		}
		if err := os.Remove(filepath.Join(s.dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return dropped, err
		}
		dropped++
		size -= f.size
	}
	return dropped, nil
}

// Send hands what is there to send, the oldest first, while no other process does. A push
// is removed when send returned nil or a *RefusedError, which goes to refused; another
// error ends Send. What cannot be read is put aside, and goes to refused too.
func (s *Spool) Send(ctx context.Context, send func(context.Context, Push) error, refused func(name string, err error)) error {
	if files, err := s.list(); err != nil || !waiting(files) {
		return err // nobody sends what is not there: a push goes when it was answered
	}
	unlock, err := s.lock(ctx, sending)
	switch {
	case errors.Is(err, osfile.ErrLocked):
		return &UnreachableError{fmt.Errorf("another process sends from the spool: %w", err)}
	case err != nil:
		return err
	}
	defer unlock()
	for {
		files, err := s.list()
		if err != nil || !waiting(files) {
			return err
		}
		for _, f := range files {
			if err := s.sendFile(ctx, f, send, refused); err != nil {
				return err
			}
		}
	}
}

func (s *Spool) sendFile(ctx context.Context, f file, send func(context.Context, Push) error, refused func(string, error)) error {
	name := filepath.Join(s.dir, f.name)
	if f.bad {
		return nil
	}
	p, err := read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it had to make room
	}
	if err != nil {
		refused(f.name, err)
		return os.Rename(name, strings.TrimSuffix(name, pushSuffix)+badSuffix)
	}
	err = send(ctx, p)
	if _, ok := errors.AsType[*RefusedError](err); ok {
		refused(f.name, err)
		err = nil
	}
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func read(name string) (Push, error) {
	f, err := os.Open(name)
	if err != nil {
		return Push{}, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return Push{}, fmt.Errorf("damaged: %w", err)
	}
	var h header
	if err := json.Unmarshal(bytes.TrimSpace(line), &h); err != nil {
		return Push{}, fmt.Errorf("damaged: %w", err)
	}
	h.Body, err = io.ReadAll(r)
	if err == nil && (len(h.Body) != h.Bytes || crc32.Checksum(h.Body, castagnoli()) != h.CRC) {
		err = errors.New("damaged: the body is not what was written")
	}
	return h.Push, err
}

// file is one of the spool's.
type file struct {
	name   string
	number uint64
	size   int64
	bad    bool
}

func waiting(files []file) bool {
	return slices.ContainsFunc(files, func(f file) bool { return !f.bad })
}

// list returns the files, the oldest first.
func (s *Spool) list() ([]file, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		digits, suffix, _ := strings.Cut(e.Name(), ".")
		number, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || (suffix != pushSuffix[1:] && suffix != badSuffix[1:]) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it has gone
		}
		files = append(files, file{e.Name(), number, info.Size(), suffix == badSuffix[1:]})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// lock takes one of the locks, which the end of the process releases too.
func (s *Spool) lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := osfile.TryLock(f)
		if err == nil {
			return func() { _ = f.Close() }, nil // nothing was written
		}
		if !errors.Is(err, osfile.ErrLocked) || !Sleep(ctx, 5*time.Millisecond) {
			return nil, errors.Join(err, f.Close())
		}
	}
}
