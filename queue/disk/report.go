package disk

import (
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// Report is what Inspect finds in a storage directory.
type Report struct {
	Dir       string           `json:"dir"`
	Store     string           `json:"store,omitempty"`  // identity of the store
	Opened    string           `json:"opened,omitempty"` // who opened it last, perhaps still
	First     uint64           `json:"first_seq"`        // oldest and newest record, 0 without any
	Last      uint64           `json:"last_seq"`
	Records   uint64           `json:"records"`
	Samples   uint64           `json:"samples"`
	Total     uint64           `json:"samples_ever"` // with those that are gone
	Bytes     int64            `json:"bytes"`
	Segments  []SegmentReport  `json:"segments"`
	Snapshots []SnapshotReport `json:"snapshots"`
	Cursors   []CursorReport   `json:"cursors"`
	Damage    []DamageReport   `json:"damage"`
	Other     []string         `json:"other_files,omitempty"` // moved aside, unfinished, or none of ours
}

// SegmentReport describes one segment.
type SegmentReport struct {
	File       string    `json:"file"`
	Number     uint64    `json:"number"`
	First      uint64    `json:"first_seq"`
	Last       uint64    `json:"last_seq"` // before First when there is none
	FailedFrom uint64    `json:"failed_from,omitempty"`
	FailedTo   uint64    `json:"failed_to,omitempty"` // sequences that failed before the segment was made
	Records    uint64    `json:"records"`
	Samples    uint64    `json:"samples"`
	Bytes      int64     `json:"bytes"`
	Sealed     bool      `json:"sealed"`
	Newest     time.Time `json:"newest_time,omitzero"`
}

// SnapshotReport describes one snapshot.
type SnapshotReport struct {
	File    string    `json:"file"`
	Seq     uint64    `json:"seq"`
	Bytes   int64     `json:"bytes"`
	Created time.Time `json:"created"`
	Floor   time.Time `json:"floor"`
	Good    bool      `json:"good"`
}

// CursorReport describes one destination's position.
type CursorReport struct {
	File           string           `json:"file"`
	ID             string           `json:"id"`
	Clean          bool             `json:"clean"` // closed properly, or never opened since
	Orphaned       time.Time        `json:"not_configured_since,omitzero"`
	Shards         []queue.Position `json:"shards"`
	OldestUnsent   uint64           `json:"oldest_unsent_seq,omitempty"` // first record that some shard has not acknowledged
	OldestTime     time.Time        `json:"oldest_unsent_time,omitzero"`
	PendingRecords uint64           `json:"pending_records"`
	PendingSamples uint64           `json:"pending_samples"`
	MissingRecords uint64           `json:"missing_records"` // not acknowledged and no longer there
	Ledger         *queue.Ledger    `json:"-"`               // nil: a file of format version 1
}

// DamageReport describes a damaged range.
type DamageReport struct {
	File    string `json:"file"`
	Offset  int64  `json:"offset"`
	Length  int64  `json:"length"`
	First   uint64 `json:"first_seq,omitempty"`
	Last    uint64 `json:"last_seq,omitempty"`
	Samples uint64 `json:"samples,omitempty"`
	Torn    bool   `json:"torn"` // what a crash leaves, or being written at this moment
	Problem string `json:"problem"`
}
