package deadletter

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Summary is what a destination has in letters.
type Summary struct {
	Destination string            `json:"destination"`
	Letters     int               `json:"letters"`
	Samples     map[string]uint64 `json:"samples"`            // by reason
	Piles       []Pile            `json:"piles"`              // by reason, too
	Redeemed    map[string]uint64 `json:"redeemed,omitempty"` // delivered after all, by the reason for which they were lost
	Evicted     uint64            `json:"evicted"`            // samples that had to go because of the bound
}

// Pile is the letters of a destination for one reason.
type Pile struct {
	Reason  string    `json:"reason"`
	Letters int       `json:"letters"`
	Samples uint64    `json:"samples"`
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest"` // when the first of them was given up
	Newest  time.Time `json:"newest"`
	Latest  uint64    `json:"latest"` // the letter of then
}

// Total adds up what is told by reason.
func Total(by map[string]uint64) (n uint64) {
	for _, v := range by {
		n += v
	}
	return n
}

// pile returns the one for a reason, a new one where there is none.
func (s *Summary) pile(reason string) *Pile {
	i, ok := slices.BinarySearchFunc(s.Piles, reason, func(p Pile, r string) int { return strings.Compare(p.Reason, r) })
	if !ok {
		s.Piles = slices.Insert(s.Piles, i, Pile{Reason: reason})
	}
	return &s.Piles[i]
}

func (p *Pile) add(e *entry) {
	given := time.UnixMilli(e.given).UTC()
	p.Letters++
	p.Samples += e.samples
	p.Bytes += int64(e.length)
	if p.Oldest.IsZero() || given.Before(p.Oldest) {
		p.Oldest = given
	}
	if newer := given.Compare(p.Newest); newer > 0 || newer == 0 && e.id > p.Latest {
		p.Newest, p.Latest = given, e.id
	}
}

// Summaries returns those of all destinations that have, or had, letters, by name.
func (s *Store) Summaries() []Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.summaries()
}

func (x *index) summaries() []Summary {
	by := map[string]*Summary{}
	for name, a := range x.Accounts {
		by[name] = &Summary{
			Destination: name, Samples: map[string]uint64{}, Piles: []Pile{}, Redeemed: maps.Clone(a.Redeemed), Evicted: a.Evicted,
		}
	}
	for _, e := range x.letters {
		s := by[e.destination]
		s.Letters++
		s.Samples[e.reason] += e.samples
		s.pile(e.reason).add(e)
	}
	out := make([]Summary, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		out = append(out, *by[name])
	}
	return out
}

// Redeemed returns how many samples of a destination were delivered after all, by the
// reason for which they had been lost.
func (s *Store) Redeemed(destination string) map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.index.Accounts[destination].Redeemed)
}

// Bytes returns how much all files take, and how often one could not be written.
func (s *Store) Bytes() (size, failures int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sizes {
		size += n
	}
	return size, s.failures
}

// MaxBytes is the bound of that size.
func (s *Store) MaxBytes() int64 { return s.maxBytes }

// Damage returns what could not be read at the start.
func (s *Store) Damage() []Range { return slices.Clone(s.damaged) }

// Each calls each for the letters of a destination, of all for none, in order, with their
// samples, until it returns an error.
func (s *Store) Each(destination string, each func(Letter) error) error {
	s.mu.Lock()
	entries := s.index.inOrder(of(destination, ""))
	s.mu.Unlock()
	for _, e := range entries {
		l, err := s.Read(e.id)
		if err != nil {
			continue // it has gone since
		}
		if err := each(l); err != nil {
			return err
		}
	}
	return nil
}

// View reads the letters in a storage directory and changes nothing: it may belong to a
// running process, whose newest letter can then be missing.
func View(storage string) (*Store, error) {
	s := &Store{dir: filepath.Join(storage, Dir), index: newIndex(), sizes: map[uint64]int64{}}
	numbers, err := list(s.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		data, err := os.ReadFile(s.path(n))
		if err != nil {
			continue // removed a moment ago
		}
		s.damaged = append(s.damaged, read(s.index, n, data)...)
		s.sizes[n] = int64(len(data))
	}
	s.index.removeBefore(s.index.Oldest)
	return s, nil
}

// Empty says whether there was never a letter.
func (s *Store) Empty() bool { return len(s.sizes) == 0 }
