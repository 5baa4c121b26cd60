package main

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
	"path/filepath"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/ingest"
)

// persistence keeps the persistence file of a Pushgateway, so that going there
// and back is one restart each. The state itself is in the log; the file is
// written for others, and read only when another one has written it. To tell, the
// hashes of what was written are remembered in the storage directory.
type persistence struct {
	file     string // empty for none
	hashes   string // the file with the hashes; empty when nothing is on disk
	interval time.Duration
	store    *group.Store
	writer   *ingest.Writer
	ttl      func(group.Labels) time.Duration
	now      func() time.Time
	log      *slog.Logger

	merged chan struct{} // closed when the file was looked at

	// Of the goroutine of run:
	settled bool   // what the file has is in the state, as far as possible
	keep    bool   // the file has more than that, and must not be overwritten
	saved   uint64 // fingerprint of the groups that were written last
	hash    string // of the file that was written or recognised last
}

func newPersistence(g *gateway) *persistence {
	p := &persistence{
		file: g.settings.persistenceFile, interval: g.settings.persistenceInterval,
		store: g.store, writer: g.writer, ttl: g.defaultTTL, now: g.now,
		log: g.log.With("component", "persistence"), merged: make(chan struct{}),
	}
	if g.storageDir != "" {
		p.hashes = filepath.Join(g.storageDir, "persistence.sha256")
	}
	return p
}

// defaultTTL is how long a group lives after a push that does not say it.
func (g *gateway) defaultTTL(l group.Labels) time.Duration {
	if rules := g.store.Rules(); rules != nil {
		return rules.Of(l).TTL
	}
	return g.settings.ttl
}

// minSaveInterval is how often changes are looked for with an interval of 0.
const minSaveInterval = time.Second

// run merges the file into the state, then writes it whenever there were changes,
// and a last time when ctx ends.
func (p *persistence) run(ctx context.Context) error {
	if p.file == "" {
		close(p.merged)
		<-ctx.Done()
		return nil
	}
	p.merge(ctx)
	close(p.merged)
	if err := every(ctx, max(p.interval, minSaveInterval), func() { p.keepUp(ctx) }); err != nil {
		return err
	}
	p.keepUp(context.WithoutCancel(ctx))
	return nil
}

// wait returns when the file is merged, or ctx ends: until then no client may see
// or change anything.
func (p *persistence) wait(ctx context.Context) {
	select {
	case <-p.merged:
	case <-ctx.Done():
	}
}

// keepUp writes the file if anything has changed. While the state could not take
// the file in, because the disk took nothing, it tries that instead.
func (p *persistence) keepUp(ctx context.Context) {
	if !p.settled {
		p.merge(ctx)
	}
	if !p.settled {
		return
	}
	groups := p.store.Groups()
	mark := fingerprint(groups)
	if p.hash != "" && p.saved == mark {
		return
	}
	if err := p.save(groups); err != nil {
		p.log.Error("persistence file is not written", "file", p.file, "err", err)
		return
	}
	p.saved = mark
	p.log.Debug("persistence file is written", "file", p.file, "groups", len(groups))
}

var fingerprintSeed = maphash.MakeSeed()

// fingerprint differs for different versions of the groups, whatever their order.
func fingerprint(groups []*group.Group) uint64 {
	type version struct {
		id  string
		seq uint64
	}
	sum := uint64(len(groups))
	for _, g := range groups {
		sum += maphash.Comparable(fingerprintSeed, version{g.ID, g.Seq})
	}
	return sum
}

// save writes the file. The hash of the new one is remembered before it is in
// place: if the process dies in between, either is known.
func (p *persistence) save(groups []*group.Group) error {
	sum := sha256.New()
	hash := ""
	err := writeWhole(p.file, func(w io.Writer) error {
		return group.WritePushgatewayFile(io.MultiWriter(w, sum), groups)
	}, func() error {
		hash = hex.EncodeToString(sum.Sum(nil))
		return errors.Join(p.remember(hash, p.hash), p.keepOld())
	})
	if err == nil {
		p.hash, p.keep = hash, false
	}
	return err
}

func (p *persistence) remember(hashes ...string) error {
	if p.hashes == "" {
		return nil
	}
	return writeWhole(p.hashes, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, strings.Join(hashes, "\n"))
		return err
	}, nil)
}

// keepOld keeps a file beside that has what the state has not.
func (p *persistence) keepOld() error {
	if !p.keep {
		return nil
	}
	for i := range 1000 {
		name := p.file + ".bad"
		if i > 0 {
			name = fmt.Sprintf("%s.bad.%d", p.file, i)
		}
		switch err := os.Link(p.file, name); {
		case err == nil:
			p.log.Warn("the persistence file that could not be taken over as a whole is kept", "file", name)
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	return fmt.Errorf("there are too many files %s.bad", p.file)
}

// merge takes over what another one has written to the file: each group whose
// last push is newer than what the state has. Groups that are not in the file
// stay.
func (p *persistence) merge(ctx context.Context) {
	hash, err := hashFile(p.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.settled = true
		p.log.Info("there is no persistence file yet", "file", p.file)
		return
	case err != nil:
		p.settled, p.keep = true, true
		p.log.Error("persistence file cannot be read, it is left out", "file", p.file, "err", err)
		return
	case p.remembered(hash):
		p.settled, p.hash = true, hash
		p.log.Info("persistence file is as it was left", "file", p.file)
		return
	}
	groups, err := readPersistenceFile(p.file)
	if err != nil {
		p.settled, p.keep = true, true
		p.log.Error("persistence file cannot be used, it is left out and will be kept", "file", p.file, "err", err)
		return
	}
	if err := p.take(ctx, groups); err != nil {
		p.log.Error("persistence file is not taken over yet", "file", p.file, "err", err)
		return
	}
	p.settled = true
}

func readPersistenceFile(file string) ([]group.PushgatewayGroup, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return group.ReadPushgatewayFile(f)
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
func (p *persistence) remembered(hash string) bool {
	if p.hashes == "" {
		return false
	}
	text, err := os.ReadFile(p.hashes)
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
func (p *persistence) take(ctx context.Context, groups []group.PushgatewayGroup) error {
	refused, newer := map[string]bool{}, 0
	var changes []group.Change
	refuse := func(l group.Labels, err error) {
		refused[l.ID()] = true
		p.log.Warn("group of the persistence file is not taken over as it is", "group", l.String(), "err", err)
	}
	flush := func() error {
		err := p.writer.Import(ctx, changes, p.now(), func(c group.Change, err error) { refuse(c.Labels, err) })
		changes = changes[:0]
		return err
	}
	for _, g := range groups {
		more := p.news(g)
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
	p.keep = len(refused) > 0
	p.log.Info("persistence file is taken over", "file", p.file, "groups", len(groups),
		"newer", newer, "not_as_is", len(refused))
	return nil
}

// news returns what makes the state's group that of the file: nothing when the
// state has a later push.
func (p *persistence) news(g group.PushgatewayGroup) []group.Change {
	old := p.store.Lookup(g.Labels)
	switch {
	case old == nil, g.Push > old.Push:
		ttl := p.ttl(g.Labels)
		for i := range g.Changes {
			g.Changes[i].TTL = ttl
		}
		return g.Changes
	case g.Fail > old.Fail:
		return []group.Change{{Kind: group.KindFail, Labels: g.Labels, Fail: g.Fail, Err: errors.New("refused by Pushgateway")}}
	}
	return nil
}
