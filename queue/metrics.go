package queue

import (
	"github.com/prometheus/client_golang/prometheus"
)

// StoreMetrics are what stores count. A log shows them whatever its store is.
type StoreMetrics struct {
	Fsyncs                        prometheus.Counter // of what was written to the log
	FsyncSeconds                  prometheus.Histogram
	DamagedRanges, DamagedRecords prometheus.Counter
	TornBytes                     prometheus.Counter
}

// metrics are the log's own metrics.
type metrics struct {
	reg prometheus.Registerer

	records, samples, bytes      prometheus.Counter
	aborted, emitDropped         prometheus.Counter
	failures                     prometheus.Counter
	droppedParts, droppedSamples prometheus.Counter
	cursorFailures, abandoned    prometheus.Counter
	snapshots, snapshotFailures  prometheus.Counter

	store *StoreMetrics
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{reg: reg, store: &StoreMetrics{}}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "pushbridge_queue_" + name, Help: help})
		m.register(c)
		return c
	}
	m.records = counter("appended_records_total", "Records that were made durable.")
	m.samples = counter("appended_samples_total", "Samples in records that were made durable, before relabelling.")
	m.bytes = counter("appended_bytes_total", "Bytes of frames written to segments.")
	m.aborted = counter("aborted_records_total", "Records that failed because the log could not be written.")
	m.emitDropped = counter("unsent_ephemeral_records_total", "Ephemeral records dropped because the log took no records.")
	m.store.Fsyncs = counter("fsyncs_total", "Fsyncs of segments.")
	m.failures = counter("write_failures_total", "Writes and fsyncs of segments that failed.")
	m.store.DamagedRanges = counter("damaged_ranges_total", "Damaged ranges found in files.")
	m.store.DamagedRecords = counter("damaged_records_total", "Records known to be lost to damage.")
	m.store.TornBytes = counter("torn_bytes_total", "Bytes at the end of segments that a crash left incomplete.")
	m.droppedParts = counter("dropped_segments_total", "Segments removed at a bound although a destination still needed them.")
	m.droppedSamples = counter("dropped_samples_total", "Samples in such segments that the slowest destination had not acknowledged.")
	m.cursorFailures = counter("cursor_failures_total", "Writes and fsyncs of cursor files that failed.")
	m.abandoned = counter("abandoned_samples_total", "Samples that destinations had not been sent when they were forgotten.")
	m.snapshots = counter("snapshots_total", "Snapshots written.")
	m.snapshotFailures = counter("snapshot_failures_total", "Snapshots that could not be written.")
	m.store.FsyncSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "pushbridge_queue_fsync_duration_seconds",
		Help:    "How long fsyncs of segments took.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
	})
	m.register(m.store.FsyncSeconds)
	return m
}

func (m *metrics) register(c prometheus.Collector) {
	if m.reg != nil {
		m.reg.MustRegister(c)
	}
}

func (m *metrics) gauge(name, help string, f func() float64) {
	m.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pushbridge_queue_" + name, Help: help}, f))
}

func (m *metrics) committed(records int, samples uint64, bytes int) {
	m.records.Add(float64(records))
	m.samples.Add(float64(samples))
	m.bytes.Add(float64(bytes))
}

// observed is what the gauges show of a log.
type observed interface {
	Err() error
	Head() uint64
	Leads() bool
	memory() (queued, ring int64)
}

func (m *metrics) observe(l observed) {
	m.gauge("head_sequence", "Sequence of the last durable record.", func() float64 { return float64(l.Head()) })
	m.gauge("queued_bytes", "Bytes of records that wait for the disk.", func() float64 {
		queued, _ := l.memory()
		return float64(queued)
	})
	m.gauge("ring_bytes", "Bytes of decoded records in memory.", func() float64 {
		_, ring := l.memory()
		return float64(ring)
	})
	m.gauge("leads", "Whether this process is the one that writes the log.", func() float64 {
		if l.Leads() {
			return 1
		}
		return 0
	})
	m.gauge("available", "Whether the log takes records.", func() float64 {
		if l.Err() != nil {
			return 0
		}
		return 1
	})
}

// observeOrphans adds what destinations that are configured no longer hold back.
func (m *metrics) observeOrphans(orphans func() (n int, pending uint64)) {
	m.gauge("orphans", "Destinations that are no longer configured, and that what waits is kept for.", func() float64 {
		n, _ := orphans()
		return float64(n)
	})
	m.gauge("orphaned_samples", "Samples that are kept for such destinations.", func() float64 {
		_, pending := orphans()
		return float64(pending)
	})
}
