package queue

import (
	"io"
	"log/slog"
	"time"
)

// Store is where a log keeps what must outlive the process: records, cursors and
// snapshots. It knows bytes, sequences and books, and nothing of what they mean; what
// is kept in order, bounded and counted is decided by the Log. queue/disk keeps
// everything in a directory, queue/jetstream in a stream of NATS, Memory keeps nothing.
//
// What each method promises about durability stands with it. "Survives the process"
// means kill -9; "durable" means a power loss as well, as far as the store was not
// told to take chances with that.
type Store interface {
	// Recover takes possession of the store, repairs what a crash left behind, and says
	// where the log goes on: behind every sequence that was ever given out and may be
	// known to anybody. It never destroys what can be read. It is called once, before
	// everything else; when it fails nothing is held.
	Recover(Host) (Recovered, error)

	Writer
	History
	Cursors
	Snapshots

	// Close gives the store up. Everything that was to be durable is before, but for
	// records when Seal was not called: those are as a crash would leave them, or better.
	Close() error
}

// Host is what a store gets from its log.
type Host struct {
	Logger  *slog.Logger
	Now     func() time.Time
	Metrics *StoreMetrics

	// Gauge registers a metric that f tells, if there is anywhere to register it.
	Gauge func(name, help string, f func() float64)
}

// Recovered is what a store has when its log is opened.
type Recovered struct {
	Head   uint64 // last sequence that is in use anywhere, 0 for none
	Total  uint64 // samples of all records up to it
	Floor  int64  // largest timestamp that the store knows of: records, cursors, snapshots
	Behind int64  // bytes of log behind the newest snapshot

	// Identity is of this store and no other, for as long as its sequences go on: the
	// two together name a record.
	Identity [16]byte

	// Volatile says that records are kept by nobody but the log's ring: what falls out
	// of it is gone, and Tail has nothing.
	Volatile bool
}

// Writer is what the commit loop calls: one goroutine, one call at a time.
type Writer interface {
	// Ready does what the next Commit would have to do first, such as making a new
	// segment, so that it is known beforehand whether records can be taken. floor is
	// the largest timestamp known; a store remembers it.
	Ready(floor int64) error

	// Commit gives the records of b their sequences and running totals and makes all of
	// them durable before it returns nil. On an error none of them is known to be kept:
	// their sequences, where others may have seen them, are never used again, and what
	// is left of them is never read. An error that wraps ErrAtRisk says that records of
	// earlier batches may be lost as well.
	Commit(b *Batch) error

	// Publish lets tails see everything that was committed. The log calls it once the
	// batch was reported done.
	Publish()

	// SyncInterval returns how often Sync is to be called, 0 when Commit leaves nothing
	// to later.
	SyncInterval() time.Duration

	// Sync makes everything committed durable that Commit left to later. Errors are as
	// those of Commit.
	Sync() error

	// Check is called every second. An error says that what was committed would not be
	// found by a restart at present: the log takes no records until Ready succeeds.
	Check() error

	// Seal ends the writing: when it returns nil, all that was committed is durable,
	// whatever Commit left to later.
	Seal() error
}

// Batch is what one Commit makes durable.
type Batch struct {
	Records []Entry
	Floor   int64 // largest timestamp known

	// Encode appends the bytes of record i to dst. A store that keeps no bytes need not
	// call it.
	Encode func(dst []byte, i int) []byte

	// Pack is Encode but for a rest, which is compressed already.
	Pack func(dst []byte, i int) (begin []byte, rest Packed)

	// Alike returns what record i has in common with those that can be written as the
	// difference to it, nil if none can. Base returns it as the one that they differ from, and
	// Diff appends what Entry.Base and the tail need to give it back. A base is kept no longer
	// than it is of use: it is a whole record in memory.
	Alike func(i int) any
	Base  func(i int) *Base
	Diff  func(dst []byte, i int, base *Base) []byte

	Bytes  int  // set by Commit: what the log has grown by
	Rolled bool // set by Commit: a part of the log has ended, so that bounds are worth a look
}

// Entry is what a store knows of a record beside its bytes.
type Entry struct {
	Time    int64  // in ms
	Samples uint64 // in the record
	Seq     uint64 // set by Commit
	Total   uint64 // set by Commit: samples of all records up to this one

	// Base is set by a tail for bytes that Diff has made: the record that they differ
	// from, the same one for all that do as long as the tail keeps it.
	Base *Base
}

// Base is a record that others are written as the difference to.
type Base struct {
	bytes  []byte // as Encode made them; nil when it is decoded
	record any
}

// NewBase returns the base that these bytes, of Encode, are.
func NewBase(b []byte) *Base { return &Base{bytes: b} }

// History is what was committed. Its methods may be called at any time from any
// goroutine.
type History interface {
	// Tail returns a reader of the records behind at. It opens nothing yet.
	Tail(at Place) Tail

	// TotalAt returns how many samples all records up to seq held. Where nothing tells
	// any more it returns those in front of the oldest record that is left, and false.
	TotalAt(seq uint64) (total uint64, exact bool)

	// Oldest returns the oldest part of the log that can be removed by itself, if there
	// is one.
	Oldest() (Part, bool)

	// Trim removes parts from the oldest on that hold nothing behind seq. When it
	// returns nil they do not come back; on an error some may be left, and what is left
	// is a whole end of the log. What readers lose by it they are told as a GapError.
	Trim(seq uint64) error

	// Excess returns how many bytes have to go for the store to be within its bounds: it
	// is not positive when it is. With an error it is as far as known.
	Excess() (int64, error)

	// Damage lists what was found damaged since Recover, each once.
	Damage() []error
}

// Place is a position between two records, and what is known there.
type Place struct {
	Seq   uint64 // of the last record in front of it
	Total uint64 // samples of all records up to Seq
	Exact bool   // whether Total is known
}

// Part is a range of the log that goes as a whole.
type Part struct {
	Name        string // for the operator
	First, Last uint64
	Before      uint64 // samples of all records in front of it
	Total       uint64 // and up to its end
	Bytes       int64
}

// Tail reads records in order as far as they are published. It is used by one
// goroutine at a time.
type Tail interface {
	// Next calls decode with the next record, whose bytes are valid until decode
	// returns. Bytes that decode refuses are damage of that record, unless it says
	// ErrNewer, which comes back at each call. It returns a
	// *GapError, once, where records are missing, and io.EOF when everything that is
	// published was read; after both it can be called again. Any other error is one of
	// reading, and may be tried again.
	Next(decode func(e Entry, b []byte) error) error

	// At returns the place behind what Next has returned last.
	At() Place

	Close() error
}

// Cursors are the positions of destinations. The methods may be called at any time
// from any goroutine.
type Cursors interface {
	// OpenCursor returns what keeps the cursor id, and what was saved of it; nil when
	// there is none. It changes nothing before the first Save. A cursor is opened once
	// at a time.
	OpenCursor(id string) (Saver, *Saved, error)

	// Cursors lists what was saved of the cursors that are not open, by id.
	Cursors() []Saved

	// RemoveCursor forgets a cursor durably, open or not. The Saver of an open one is of
	// no use any more and must be closed, without anything in between.
	RemoveCursor(id string) error

	// AskedToForget reports whether somebody who looks after the store, rather than the
	// process, has asked for the cursor id to be forgotten. That ends with RemoveCursor,
	// and with the process.
	AskedToForget(id string) bool
}

// Saver keeps one open cursor. Its methods are called one at a time.
type Saver interface {
	// Save replaces what is kept by s: all of it or nothing, and it survives the process
	// when Save returns nil. After an error what was saved before, or s, is there, and
	// the next Save makes up for it. s is not changed afterwards.
	Save(s Slot) error

	// Sync makes what was saved last durable.
	Sync() error

	// Close ends the use. What was saved stays.
	Close() error
}

// Slot is one version of a cursor: positions and books, which are saved together so
// that they never disagree.
type Slot struct {
	Clean    bool   // the log was closed properly: nothing follows
	Floor    int64  // largest timestamp known
	Orphaned uint32 // when the destination went, in seconds since the epoch; 0: it is there
	Ledger   Ledger
	Shards   []ShardSlot
}

// ShardSlot is where one shard of a destination is.
type ShardSlot struct {
	Acked, Sent uint64
	Base        uint64 // samples of all records up to Acked, or UnknownTotal
	Started     bool   // it has acknowledged something since the cursor is new
}

// UnknownTotal stands in a Slot where a number of samples is not known.
const UnknownTotal = ^uint64(0)

// Saved is a cursor as a store has it.
type Saved struct {
	ID   string
	Slot Slot

	// Exact says that nothing can have been sent or acknowledged since. It is false
	// after a power loss, and when what was found is damaged; when nothing can be read
	// any more Slot has one shard at 0, which has started, and UnknownTotal.
	Exact bool
}

// Snapshots are states that the log can begin from. The methods may be called at any
// time from any goroutine, WriteSnapshot by one at a time.
type Snapshots interface {
	// Snapshots lists those there are, newest first.
	Snapshots() []Snapshot

	// WriteSnapshot stores what write writes, each time the same when it is called again.
	// When it returns nil that is durable and the newest, and KeepSnapshots are left. On an
	// error those before are as they were.
	WriteSnapshot(s Snapshot, write func(io.Writer) error) error

	// ReadSnapshot gives read the content of the newest snapshot that is whole, and
	// returns it. One that is not is put out of the way and listed as damage. An error of read
	// is returned as it is, wrapped. Without any snapshot read is not called.
	ReadSnapshot(read func(io.Reader) error) (Snapshot, error)

	// ResetClock makes timestamps known so far count no more, durably: those that are
	// kept are not part of Recovered.Floor any longer.
	ResetClock() error
}

// Snapshot describes a snapshot.
type Snapshot struct {
	Seq     uint64 // everything up to here is in it
	Floor   int64  // largest timestamp known, 0 when Stale
	Total   uint64 // samples of all records up to Seq
	Created time.Time
	Stale   bool // ResetClock came after it
}
