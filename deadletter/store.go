package deadletter

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pushbridge/pushbridge/osfile"
)

// Dir is the directory of the letters in a storage directory.
const Dir = "dead-letters"

const (
	fileSuffix = ".letters"
	dirPerm    = 0o750
	filePerm   = 0o640

	minFile = 64 << 10 // a file is not ended before
	files   = 8        // in which MaxBytes are kept
)

// Store keeps letters in a directory. It is safe for concurrent use.
type Store struct {
	dir      string
	maxBytes int64
	failures int64

	mu      sync.Mutex // guards what follows, and is held while writing: whoever waits has refused samples
	index   *index
	sizes   map[uint64]int64 // of the files, by number
	file    *os.File         // the newest one; nil before the first letter, and after a failure
	number  uint64           // of the newest one
	damaged []Range
}

// Open opens the letters in a storage directory, of which there may be none.
func Open(storage string, maxBytes int64) (*Store, error) {
	s := &Store{dir: filepath.Join(storage, Dir), maxBytes: maxBytes, index: newIndex(), sizes: map[uint64]int64{}}
	numbers, err := list(s.dir)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	for _, n := range numbers {
		data, err := os.ReadFile(s.path(n))
		if err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
		s.damaged = append(s.damaged, read(s.index, n, data)...)
		s.sizes[n] = int64(len(data))
		s.number = n
	}
	return s, s.removeOld()
}

// read takes in what a file holds, and returns what of it cannot be read.
func read(x *index, number uint64, data []byte) (bad []Range) {
	note := func(from, to int) {
		bad = append(bad, Range{File: nameOf(number), Offset: from, Length: to - from, Torn: to == len(data)})
	}
	scan(data, func(f frame) {
		if !x.apply(number, f) {
			note(f.at, f.end)
		}
	}, note)
	return bad
}

func nameOf(number uint64) string { return fmt.Sprintf("%020d%s", number, fileSuffix) }

func (s *Store) path(number uint64) string { return filepath.Join(s.dir, nameOf(number)) }

// list returns the numbers of the files in dir, rising.
func list(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), fileSuffix)
		if n, err := strconv.ParseUint(name, 10, 64); ok && err == nil && e.Type().IsRegular() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Know makes a destination show, with no letter as long as it has none.
func (s *Store) Know(destination string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.index.Accounts[destination]; !ok {
		s.index.Accounts[destination] = Account{}
	}
}

// Leave is the opposite, of one that has and had no letters.
func (s *Store) Leave(destination string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.index.Accounts[destination]
	if len(a.Redeemed) == 0 && a.Evicted == 0 && len(s.index.inOrder(of(destination, ""))) == 0 {
		delete(s.index.Accounts, destination)
	}
}

// Append writes letters and gives them their ids.
func (s *Store) Append(letters []Letter) error {
	if len(letters) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []byte
	next := s.index.Next
	for i := range letters {
		letters[i].ID = next
		next++
		payload, err := encode(&letters[i], letters[i].Body)
		if err != nil {
			return err
		}
		if len(payload) > maxPayload {
			return fmt.Errorf("dead letters: %d bytes do not fit into one", len(payload))
		}
		out = appendFrame(out, kindLetter, payload)
	}
	return s.write(out)
}

// Settle says up to where the shards of a destination are acknowledged. Letters from
// behind that are taken back: what they are from goes out again. All others stay,
// whatever becomes of the shards. It belongs before and after the life of a destination.
func (s *Store) Settle(destination string, acknowledged []uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var back []uint64
	open := false
	for _, e := range s.index.letters {
		if e.settled || e.destination != destination {
			continue
		}
		open = true
		if int(e.shard) >= len(acknowledged) || e.seq > acknowledged[e.shard] {
			back = append(back, e.id)
		}
	}
	if !open {
		return nil
	}
	slices.Sort(back)
	taken, err := encode(back, nil)
	if err != nil {
		return err
	}
	mark, err := encode(settledMark{destination, s.index.Next - 1}, nil)
	if err != nil {
		return err
	}
	return s.write(appendFrame(appendFrame(nil, kindTakeBack, taken), kindSettled, mark))
}

// Redeem notes what became of letters that were sent once more.
func (s *Store) Redeem(r Redeemed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body []byte
	if r.Rest != nil {
		rest := *r.Rest
		rest.ID = s.index.Next
		r.Rest, body = &rest, rest.Body
	}
	payload, err := encode(&r, body)
	if err != nil {
		return err
	}
	return s.write(appendFrame(nil, kindRedeemed, payload))
}

// Try notes that letters are about to be sent once more, or that it is known that they
// were not taken: what may have arrived must not be sent together with what did not.
func (s *Store) Try(ids []uint64, tried bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	payload, err := encode(triedMark{ids, tried}, nil)
	if err != nil {
		return err
	}
	return s.write(appendFrame(nil, kindTried, payload))
}

// write appends frames to the newest file, and takes them in once they are on disk.
func (s *Store) write(frames []byte) error {
	err := s.ready(int64(len(frames)))
	if err == nil {
		_, err = s.file.WriteAt(frames, s.sizes[s.number])
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.failures++
		s.giveUpFile()
		return fmt.Errorf("dead letters: %w", err)
	}
	at := int(s.sizes[s.number])
	s.sizes[s.number] += int64(len(frames))
	scan(frames, func(f frame) {
		f.at, f.end = f.at+at, f.end+at
		s.index.apply(s.number, f)
	}, func(int, int) {})
	return s.bound()
}

// giveUpFile leaves a file that could not be written: what is half in it is passed over
// by readers, and never written to again.
func (s *Store) giveUpFile() {
	if s.file == nil {
		return
	}
	if st, err := s.file.Stat(); err == nil {
		s.sizes[s.number] = st.Size()
	}
	_ = s.file.Close() // it has failed already
	s.file = nil
}

// ready sees to it that there is a file with room for n bytes.
func (s *Store) ready(n int64) error {
	if s.file != nil && s.sizes[s.number]+n <= max(s.maxBytes/files, minFile) {
		return nil
	}
	if s.file != nil {
		err := s.file.Close()
		s.file = nil
		if err != nil {
			return err
		}
	}
	return s.create()
}

// create begins a file, with the ledger.
func (s *Store) create() error {
	if err := s.makeDir(); err != nil {
		return err
	}
	payload, err := encode(&s.index.ledger, nil)
	if err != nil {
		return err
	}
	f, err := osfile.OpenFile(s.path(s.number+1), os.O_RDWR|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	s.number++
	s.file = f
	head := appendFrame(nil, kindLedger, payload)
	s.sizes[s.number] = int64(len(head))
	_, err = f.WriteAt(head, 0)
	return errors.Join(err, osfile.SyncDir(s.dir))
}

func (s *Store) makeDir() error {
	if err := os.MkdirAll(s.dir, dirPerm); err != nil {
		return err
	}
	return osfile.SyncDir(filepath.Dir(s.dir))
}

// bound removes the oldest files while all of them are too large, and those in front that
// hold no letter any more.
func (s *Store) bound() error {
	oldest := s.index.Oldest
	var total int64
	for _, size := range s.sizes {
		total += size
	}
	for _, n := range s.numbers() {
		if n == s.number || s.index.inFile[n] > 0 && total <= s.maxBytes {
			break
		}
		oldest = n + 1
		total -= s.sizes[n]
	}
	if oldest == s.index.Oldest || oldest == 0 {
		return nil
	}
	return s.evict(oldest)
}

func (s *Store) numbers() []uint64 {
	numbers := make([]uint64, 0, len(s.sizes))
	for n := range s.sizes {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

// evict removes the files before oldest. It is written down before, with what is lost.
func (s *Store) evict(oldest uint64) error {
	s.index.Oldest = oldest
	for _, e := range s.index.removeBefore(oldest) {
		a := s.index.Accounts[e.destination]
		a.Evicted += e.samples
		s.index.Accounts[e.destination] = a
	}
	payload, err := encode(&s.index.ledger, nil)
	if err != nil {
		return err
	}
	frame := appendFrame(nil, kindLedger, payload)
	if _, err := s.file.WriteAt(frame, s.sizes[s.number]); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	s.sizes[s.number] += int64(len(frame))
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	return s.removeOld()
}

// removeOld removes the files that do not count any more.
func (s *Store) removeOld() error {
	s.index.removeBefore(s.index.Oldest)
	for _, n := range s.numbers() {
		if n >= s.index.Oldest {
			break
		}
		if err := os.Remove(s.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dead letters: %w", err)
		}
		delete(s.sizes, n)
	}
	return nil
}

// IDs returns those of the letters of a destination that were lost for a reason, of all for
// none, in the order of their records.
func (s *Store) IDs(destination, reason string) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []uint64
	for _, e := range s.index.inOrder(of(destination, reason)) {
		ids = append(ids, e.id)
	}
	return ids
}

// Read returns a letter, with its samples. One that has gone is an error.
func (s *Store) Read(id uint64) (Letter, error) {
	e, ok := s.entry(id)
	if !ok {
		return Letter{}, fs.ErrNotExist
	}
	f, err := osfile.OpenFile(s.path(e.file), os.O_RDONLY, 0)
	if err != nil {
		return Letter{}, err
	}
	defer func() { _ = f.Close() }() // was only read
	data := make([]byte, e.length)
	if _, err := f.ReadAt(data, int64(e.at)); err != nil {
		return Letter{}, err
	}
	fr, ok := frameAt(data, 0)
	if !ok {
		return Letter{}, fmt.Errorf("dead letter %d is damaged", id)
	}
	l, err := letterOf(fr)
	l.Tried = e.tried
	return l, err
}

// entry returns what is known of a letter at this moment.
func (s *Store) entry(id uint64) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index.letters[id]
	if e == nil {
		return entry{}, false
	}
	return *e, true
}

// letterOf reads the letter of a frame, or what is left of letters.
func letterOf(f frame) (Letter, error) {
	if f.kind == kindRedeemed {
		var r Redeemed
		body, err := decode(f.payload, &r)
		if err != nil || r.Rest == nil {
			return Letter{}, cmp.Or(err, errPayload)
		}
		r.Rest.Body = body
		return *r.Rest, nil
	}
	var l Letter
	body, err := decode(f.payload, &l)
	l.Body = body
	return l, err
}

// Close closes the newest file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
