package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
)

func TestPrintReport(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := &disk.Report{
		Dir: "data", Store: "cafe", Opened: "pid 7", First: 3, Last: 9, Records: 6, Samples: 60, Total: 100, Bytes: 3 << 20,
		Segments: []disk.SegmentReport{
			{File: "1.seg", First: 3, Last: 5, Records: 3, Samples: 30, Bytes: 2 << 20, Sealed: true, Newest: at},
			{File: "2.seg", First: 7, Last: 9, FailedFrom: 6, FailedTo: 6, Records: 3, Samples: 30, Bytes: 1 << 20, Newest: at},
		},
		Snapshots: []disk.SnapshotReport{{File: "5.snap", Seq: 5, Bytes: 1000, Created: at, Good: true}},
		Cursors: []disk.CursorReport{
			{
				ID: "mimir", Shards: []queue.Position{{Acked: 4, Sent: 5}, {Acked: 9, Sent: 9}},
				OldestUnsent: 5, OldestTime: at, PendingRecords: 4, PendingSamples: 40,
				Ledger: &queue.Ledger{Begun: 10, Again: 3, Settled: queue.Outcome{0: 30, 1: 5, 13: 2, 20: 20}},
			},
			{ID: "thanos", Clean: true, Shards: []queue.Position{{Acked: 9, Sent: 9}}},
		},
		Damage: []disk.DamageReport{{File: "2.seg", Offset: 100, Length: 20, First: 8, Last: 8, Samples: 10, Problem: "checksum"}},
		Other:  []string{"x.tmp"},
	}
	want := `
data: store cafe
opened last by pid 7
records 3-9, 6 in all, 60 samples, 3.0 MiB

DESTINATION  STATE   BEHIND BY  SAMPLES PENDING  SETTLED PER SECOND  URL
mimir        behind  1m30s      36               2.5                 https://mimir/push
thanos       paused  0s         0                -                   -

POSITION  PENDING RECORDS  PENDING SAMPLES  MISSING RECORDS  OLDEST UNSENT  FROM                  CLOSED  NOT CONFIGURED SINCE  ACKNOWLEDGED/SENT BY SHARD
mimir     4                40               0                5              2026-03-01T12:00:00Z  no      -                     4/5 9/9
thanos    0                0                0                -              -                     yes     -                     9/9

SAMPLES SINCE THE BEGINNING  ACCEPTED  DELIVERED  IN DOUBT  PENDING  DROPPED
mimir                        93        30         5         36       20 disk_bound, 2 refused
thanos                       not known: written by an older version

SEGMENT  SEQUENCES  RECORDS  SAMPLES  SIZE     STATE   NEWEST                FAILED BEFORE
1.seg    3-5        3        30       2.0 MiB  sealed  2026-03-01T12:00:00Z  -
2.seg    7-9        3        30       1.0 MiB  open    2026-03-01T12:00:00Z  6

SNAPSHOT  UP TO  SIZE    STATE  MADE
5.snap    5      1000 B  good   2026-03-01T12:00:00Z

DAMAGE  OFFSET  LENGTH  SEQUENCES  SAMPLES  WHAT
2.seg   100     20      8          10       checksum

not read: x.tmp
`
	before := &looked{at: at.Add(80 * time.Second), Report: &disk.Report{Cursors: []disk.CursorReport{
		{ID: "mimir", Ledger: &queue.Ledger{Settled: queue.Outcome{0: 32}}},
	}}}
	now := &looked{Report: r, at: at.Add(90 * time.Second), notes: map[string]note{"mimir": {URL: "https://mimir/push"}, "thanos": {Paused: &at}}}
	var got strings.Builder
	if err := printReport(&got, now, before); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, "\n"+got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPrintReportOfNothing(t *testing.T) {
	var got strings.Builder
	if err := printReport(&got, &looked{Report: &disk.Report{Dir: "d", Store: "s"}}, nil); err != nil {
		t.Fatal(err)
	}
	want := "d: store s\nrecords -, 0 in all, 0 samples, 0 B\n\nno destinations\n\nno segments\n\nno snapshots\n\nno damage\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
