package state

import (
	"slices"

	"github.com/pushbridge/pushbridge/group"
)

// How long pushes that were added up are known again: as long as this, unless too many
// have come since.
const (
	maxKeys   = 100_000
	maxKeyAge = 24 * 60 * 60 * 1000 // ms
)

// keys remembers which pushes are in the sums of groups, so that one that is sent again
// because its answer was lost is not added again. The store's lock guards it.
type keys struct {
	pending map[group.PushKey]struct{} // enqueued and not folded in yet
	kept    map[group.PushKey]int64    // timestamp in ms
	order   []group.KeptKey            // of kept, the oldest first, and perhaps of what is forgotten
}

func newKeys() keys {
	return keys{pending: map[group.PushKey]struct{}{}, kept: map[group.PushKey]int64{}}
}

// has reports whether a push is kept, or will be if what was enqueued is.
func (k *keys) has(key group.PushKey, now int64) bool {
	if _, ok := k.pending[key]; ok {
		return true
	}
	at, ok := k.kept[key]
	return ok && now-at <= maxKeyAge
}

func (k *keys) enqueue(key group.PushKey) {
	if key != (group.PushKey{}) {
		k.pending[key] = struct{}{}
	}
}

// takeBack forgets what was enqueued.
func (k *keys) takeBack() { clear(k.pending) }

// keep remembers the push of a record that is durable, and forgets what is too old.
func (k *keys) keep(key group.PushKey, at int64) {
	if key == (group.PushKey{}) {
		return
	}
	delete(k.pending, key)
	k.kept[key] = at
	k.order = append(k.order, group.KeptKey{Key: key, Time: at})
	for len(k.order) > maxKeys || at-k.order[0].Time > maxKeyAge {
		if oldest := k.order[0]; k.kept[oldest.Key] == oldest.Time {
			delete(k.kept, oldest.Key)
		}
		k.order = k.order[1:]
	}
}

// list returns what is kept, the oldest first.
func (k *keys) list() []group.KeptKey { return slices.Clone(k.order) }

func (k *keys) load(all []group.KeptKey) {
	for _, one := range all {
		k.keep(one.Key, one.Time)
	}
}

// known returns how many pushes are known again.
func (s *Store) known() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys.kept)
}
