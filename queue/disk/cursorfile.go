package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"

	"github.com/pushbridge/pushbridge/queue"
)

// A cursor file is a page that says whose it is, and two slots of whole pages.
// One slot is overwritten until it was synced, then the other: the slot that was
// synced last is never touched, so a power loss cannot cost both.
const (
	slotHeaderSize = 48
	slotLedgerSize = 24 + 8*queue.MaxOutcome // version 2 and later
	slotShardSize  = 32
	slotsAt        = pageSize
	maxCursorID    = pageSize - 128
)

const (
	slotClean  = 1 << 0 // the log was closed properly: positions are exact
	shardAcked = 1 << 0 // the shard has acknowledged something since the cursor is new
)

// slot is a queue.Slot as it stands in a file.
type slot struct {
	queue.Slot
	generation uint64
	boot       [16]byte
	era        uint32
}

// slotSize returns the bytes that a slot of n shards takes.
func slotSize(n int) int64 {
	size := int64(slotHeaderSize + slotLedgerSize + n*slotShardSize + 4)
	return (size + pageSize - 1) / pageSize * pageSize
}

// appendSlot appends the slot's bytes to dst.
func appendSlot(dst []byte, store storeID, s slot) []byte {
	at := len(dst)
	le := binary.LittleEndian
	flags := uint32(0)
	if s.Clean {
		flags |= slotClean
	}
	dst = le.AppendUint64(dst, s.generation)
	dst = le.AppendUint32(dst, uint32(len(s.Shards)))
	dst = le.AppendUint32(dst, flags)
	dst = append(dst, s.boot[:]...)
	dst = le.AppendUint64(dst, uint64(s.Floor))
	dst = le.AppendUint32(dst, s.era)
	dst = le.AppendUint32(dst, s.Orphaned)
	dst = appendLedger(dst, &s.Ledger)
	for _, p := range s.Shards {
		flags := uint64(0)
		if p.Started {
			flags |= shardAcked
		}
		dst = le.AppendUint64(dst, p.Acked)
		dst = le.AppendUint64(dst, p.Sent)
		dst = le.AppendUint64(dst, p.Base)
		dst = le.AppendUint64(dst, flags)
	}
	return le.AppendUint32(dst, crc32.Update(seedOf(store, 0), castagnoli(), dst[at:]))
}

var errSlot = errors.New("the slot does not match its checksum")

// appendLedger appends the ledger's part of a slot to dst.
func appendLedger(dst []byte, l *queue.Ledger) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, l.Begun)
	dst = le.AppendUint64(dst, l.Again)
	dst = le.AppendUint64(dst, l.MissedTo)
	for _, n := range l.Settled {
		dst = le.AppendUint64(dst, n)
	}
	return dst
}

// parseLedger reads the ledger's part of a slot.
func parseLedger(b []byte) queue.Ledger {
	le := binary.LittleEndian
	l := queue.Ledger{Begun: le.Uint64(b), Again: le.Uint64(b[8:]), MissedTo: le.Uint64(b[16:])}
	for i := range l.Settled {
		l.Settled[i] = le.Uint64(b[24+8*i:])
	}
	return l
}

// parseSlot reads a slot of a format version. A slot that was never written is all
// zeros, and ok is false without an error.
func parseSlot(b []byte, store storeID, version uint32) (s slot, ok bool, err error) {
	le := binary.LittleEndian
	start := int64(slotHeaderSize + slotLedgerSize)
	if version == 1 {
		start = slotHeaderSize
	}
	if int64(len(b)) < start+4 {
		return s, false, errShort
	}
	n := int64(le.Uint32(b[8:]))
	end := start + n*slotShardSize
	if n == 0 && allZero(b) {
		return s, false, nil
	}
	if n == 0 || n > queue.MaxShards || end+4 > int64(len(b)) ||
		le.Uint32(b[end:]) != crc32.Update(seedOf(store, 0), castagnoli(), b[:end]) {
		return s, false, errSlot
	}
	s.generation, s.Clean = le.Uint64(b), le.Uint32(b[12:])&slotClean != 0
	copy(s.boot[:], b[16:])
	s.Floor, s.era = int64(le.Uint64(b[32:])), le.Uint32(b[40:])
	s.Orphaned = le.Uint32(b[44:])
	s.Ledger.Begun = queue.UnknownTotal
	if version > 1 {
		s.Ledger = parseLedger(b[slotHeaderSize:start])
	}
	for p := b[start:end]; len(p) > 0; p = p[slotShardSize:] {
		s.Shards = append(s.Shards, queue.ShardSlot{
			Acked: le.Uint64(p), Sent: le.Uint64(p[8:]), Base: le.Uint64(p[16:]),
			Started: le.Uint64(p[24:])&shardAcked != 0,
		})
	}
	return s, true, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// appendCursorHeader appends the first page of a cursor file.
func appendCursorHeader(dst []byte, store storeID, id string) []byte {
	at := len(dst)
	dst = appendPreamble(dst, cursorMagic)
	dst = append(dst, store[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(id)))
	dst = append(dst, id...)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at+preambleSize:], castagnoli()))
	return append(dst, make([]byte, pageSize-(len(dst)-at))...)
}

// parseCursorHeader reads the first page. The id is good unless the error is
// errHeader or errShort.
func parseCursorHeader(b []byte, name string) (store storeID, id string, err error) {
	err = parsePreamble(b, cursorMagic, name)
	if errors.As(err, new(*VersionError)) {
		return store, "", err
	}
	if len(b) < pageSize {
		return store, "", errShort
	}
	n := int64(binary.LittleEndian.Uint32(b[32:]))
	if n > maxCursorID || binary.LittleEndian.Uint32(b[36+n:]) != crc32.Checksum(b[preambleSize:36+n], castagnoli()) {
		return store, "", errHeader
	}
	copy(store[:], b[16:])
	return store, string(b[36 : 36+n]), err
}

// cursorFile is the whole content of a cursor file.
type cursorFile struct {
	name     string
	id       string
	version  uint32 // of the format
	slot     slot
	which    int   // the slot that holds it
	found    bool  // some slot is good
	doubtful error // a slot or the header is damaged: what is found may not be the newest
	foreign  bool  // of another store
}

// parseCursorFile reads a cursor file. Only a *VersionError is returned.
func parseCursorFile(b []byte, name string, store storeID) (cursorFile, error) {
	c := cursorFile{name: name, version: cursorVersion}
	owner, id, err := parseCursorHeader(b, name)
	if err == nil {
		c.version = binary.LittleEndian.Uint32(b[8:])
	}
	if errors.As(err, new(*VersionError)) {
		return c, err
	}
	c.id, c.doubtful = id, err
	if owner != store && (err == nil || errors.Is(err, errPreamble)) {
		c.foreign = true
		return c, nil
	}
	if len(b) <= slotsAt {
		c.doubtful = errShort
		return c, nil
	}
	size := (len(b) - slotsAt) / 2
	for i := range 2 {
		s, ok, err := c.parseSlot(b[slotsAt+i*size:slotsAt+(i+1)*size], store)
		if err != nil {
			c.doubtful = err
		}
		if ok && (!c.found || s.generation > c.slot.generation) {
			c.slot, c.which, c.found = s, i, true
		}
	}
	return c, nil
}

// parseSlot reads a slot. When the version is damaged it is the one that fits.
func (c *cursorFile) parseSlot(b []byte, store storeID) (s slot, ok bool, err error) {
	s, ok, err = parseSlot(b, store, c.version)
	if errors.Is(err, errSlot) && errors.Is(c.doubtful, errPreamble) {
		if s, ok, err = parseSlot(b, store, 1); err == nil {
			c.version = 1
		}
	}
	return s, ok, err
}

// buildCursorFile returns a whole file with s in the first slot.
func buildCursorFile(store storeID, id string, s slot) []byte {
	b := appendCursorHeader(nil, store, id)
	b = appendSlot(b, store, s)
	return append(b, make([]byte, int(slotsAt+2*slotSize(len(s.Shards)))-len(b))...)
}

// cursorName is the file name of the cursor id: readable, and unique whatever
// the id holds.
func cursorName(id string) string {
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, id)
	sum := sha256.Sum256([]byte(id))
	return readable[:min(len(readable), 40)] + "-" + hex.EncodeToString(sum[:8]) + cursorSuffix
}

// bootHash turns the kernel's boot id into a fixed size. All zeros: not known,
// and then never equal to anything.
func bootHash(id string) (h [16]byte) {
	if id != "" {
		sum := sha256.Sum256([]byte(id))
		copy(h[:], sum[:])
	}
	return h
}
