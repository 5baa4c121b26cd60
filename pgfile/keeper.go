package pgfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
	"github.com/pushbridge/pushbridge/wholefile"
)

// Options say what a keeper keeps, and where.
type Options struct {
	File     string        // empty for none
	Hashes   string        // the file to remember in what was written; empty when nothing is on disk
	Interval time.Duration // how often changes are written

	Store  *state.Store
	Import Import
	Now    func() time.Time
	Logger *slog.Logger

	Registerer prometheus.Registerer // none
}

// Import carries out changes that somebody else has accepted already, and returns
// when they are kept. What does not fit to the state is left out, and refused is
// told.
type Import func(ctx context.Context, changes []group.Change, now time.Time, refused func(group.Change, error)) error

// Keeper keeps the persistence file of a Pushgateway, so that going there and back
// is one restart each. The state itself is in the log; the file is written for
// others, and read only when another one has written it. To tell, the hashes of
// what was written are remembered.
type Keeper struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	merged  chan struct{} // closed when the file was looked at
	seed    maphash.Seed  // of fingerprints

	// Of the goroutine of Run:
	settled bool   // what the file has is in the state, as far as possible
	keep    bool   // the file has more than that, and must not be overwritten
	saved   uint64 // fingerprint of the groups that were written last
	hash    string // of the file that was written or recognised last
}

// NewKeeper returns a keeper that has not looked at the file yet.
func NewKeeper(o Options) *Keeper {
	return &Keeper{o: o, log: o.Logger, metrics: newMetrics(o.Registerer), merged: make(chan struct{}), seed: maphash.MakeSeed()}
}

// minSaveInterval is how often changes are looked for with an interval of 0.
const minSaveInterval = time.Second

// Run merges the file into the state, then writes it whenever there were changes,
// and a last time when ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	if !k.hasFile() {
		close(k.merged)
		<-ctx.Done()
		return nil
	}
	k.tidy()
	k.merge(ctx)
	close(k.merged)
	tick := time.NewTicker(max(k.o.Interval, minSaveInterval))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			k.keepUp(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			k.keepUp(ctx)
		}
	}
}

// hasFile says whether there is a file to keep. A pipe would be read for ever, and a
// device be replaced.
func (k *Keeper) hasFile() bool {
	if k.o.File == "" {
		return false
	}
	if err := wholefile.Check(k.o.File); err != nil {
		k.log.Error("persistence file is neither read nor written", "err", err)
		k.metrics.wrote(false)
		return false
	}
	return true
}

// tidy removes what a process left behind that was killed while it wrote.
func (k *Keeper) tidy() {
	for _, file := range []string{k.o.File, k.o.Hashes} {
		if err := wholefile.RemoveUnfinished(file); err != nil {
			k.log.Warn("cannot remove what was left of an unfinished file", "file", file, "err", err)
		}
	}
}

// Wait returns when the file is merged, or ctx ends: until then no client may see
// or change anything.
func (k *Keeper) Wait(ctx context.Context) {
	select {
	case <-k.merged:
	case <-ctx.Done():
	}
}

// keepUp writes the file if anything has changed. While the state could not take
// the file in, because the disk took nothing, it tries that instead.
func (k *Keeper) keepUp(ctx context.Context) {
	if !k.settled {
		k.merge(ctx)
	}
	if !k.settled {
		k.metrics.wrote(false)
		return
	}
	groups := k.o.Store.Groups()
	mark := k.fingerprint(groups)
	if k.hash != "" && k.saved == mark {
		return
	}
	if err := k.save(groups); err != nil {
		k.log.Error("persistence file is not written", "file", k.o.File, "err", err)
		k.metrics.wrote(false)
		return
	}
	k.metrics.wrote(true)
	k.saved = mark
	k.log.Debug("persistence file is written", "file", k.o.File, "groups", len(groups))
}

// fingerprint differs for different versions of the groups, whatever their order.
func (k *Keeper) fingerprint(groups []*group.Group) uint64 {
	type version struct {
		id  string
		seq uint64
	}
	sum := uint64(len(groups))
	for _, g := range groups {
		sum += maphash.Comparable(k.seed, version{g.ID, g.Seq})
	}
	return sum
}

// save writes the file. The hash of the new one is remembered before it is in
// place: if the process dies in between, either is known.
func (k *Keeper) save(groups []*group.Group) error {
	sum := sha256.New()
	hash := ""
	err := wholefile.Write(k.o.File, func(w io.Writer) error {
		return Write(io.MultiWriter(w, sum), groups)
	}, func() error {
		hash = hex.EncodeToString(sum.Sum(nil))
		return errors.Join(k.remember(hash, k.hash), k.keepOld())
	})
	if err == nil {
		k.hash, k.keep = hash, false
	}
	return err
}

func (k *Keeper) remember(hashes ...string) error {
	if k.o.Hashes == "" {
		return nil
	}
	return wholefile.WriteBytes(k.o.Hashes, []byte(strings.Join(hashes, "\n")+"\n"))
}

// keepOld keeps a file beside that has what the state has not.
func (k *Keeper) keepOld() error {
	if !k.keep {
		return nil
	}
	for i := range 1000 {
		name := k.o.File + ".bad"
		if i > 0 {
			name = fmt.Sprintf("%s.bad.%d", k.o.File, i)
		}
		switch err := os.Link(k.o.File, name); {
		case err == nil:
			k.log.Warn("the persistence file that could not be taken over as a whole is kept", "file", name)
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	return fmt.Errorf("there are too many files %s.bad", k.o.File)
}

// merge takes over what another one has written to the file: each group whose
// last push is newer than what the state has. Groups that are not in the file
// stay.
func (k *Keeper) merge(ctx context.Context) {
	hash, err := hashFile(k.o.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.settled = true
		k.log.Info("there is no persistence file yet", "file", k.o.File)
		return
	case err != nil:
		k.settled, k.keep = true, true
		k.log.Error("persistence file cannot be read, it is left out", "file", k.o.File, "err", err)
		return
	case k.remembered(hash):
		k.settled, k.hash = true, hash
		k.log.Info("persistence file is as it was left", "file", k.o.File)
		return
	}
	groups, err := readFile(k.o.File)
	if err != nil {
		k.settled, k.keep = true, true
		k.log.Error("persistence file cannot be used, it is left out and will be kept", "file", k.o.File, "err", err)
		return
	}
	if err := k.take(ctx, groups); err != nil {
		k.log.Error("persistence file is not taken over yet", "file", k.o.File, "err", err)
		return
	}
	k.settled = true
}

func readFile(file string) ([]Group, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f)
}

// hashFile returns the hash of a file's content.
func hashFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// remembered reports whether p wrote the file that has this hash.
func (k *Keeper) remembered(hash string) bool {
	if k.o.Hashes == "" {
		return false
	}
	text, err := os.ReadFile(k.o.Hashes)
	if err != nil {
		return false // without memory, a merge that changes nothing
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == hash {
			return true
		}
	}
	return false
}

// takeAtOnce is how many changes wait for the disk together.
const takeAtOnce = 1000

// take carries out what the file says, and tells the outcome in one line.
func (k *Keeper) take(ctx context.Context, groups []Group) error {
	refused, newer := map[string]bool{}, 0
	var changes []group.Change
	refuse := func(l group.Labels, err error) {
		refused[l.ID()] = true
		k.log.Warn("group of the persistence file is not taken over as it is", "group", l.Brief(), "err", err)
	}
	flush := func() error {
		err := k.o.Import(ctx, changes, k.o.Now(), func(c group.Change, err error) { refuse(c.Labels, err) })
		changes = changes[:0]
		return err
	}
	for _, g := range groups {
		more := k.news(g)
		if len(more) == 0 {
			continue
		}
		newer++
		if len(g.Skipped) > 0 {
			refuse(g.Labels, errors.Join(g.Skipped...))
		}
		if changes = append(changes, more...); len(changes) >= takeAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	k.keep = len(refused) > 0
	k.log.Info("persistence file is taken over", "file", k.o.File, "groups", len(groups),
		"newer", newer, "not_as_is", len(refused))
	return nil
}

// news returns what makes the state's group that of the file: nothing when the
// state has a later push.
func (k *Keeper) news(g Group) []group.Change {
	old := k.o.Store.Lookup(g.Labels)
	switch {
	case old == nil, g.Push > old.Push:
		ttl := k.o.Store.Rules().Of(g.Labels).TTL
		for i := range g.Changes {
			g.Changes[i].TTL = ttl
		}
		return g.Changes
	case g.Fail > old.Fail:
		return []group.Change{{Kind: group.KindFail, Labels: g.Labels, Fail: g.Fail}}
	}
	return nil
}
