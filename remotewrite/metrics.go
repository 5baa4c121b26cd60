package remotewrite

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// metrics are those of one destination. The prometheus_remote_storage family has
// names, labels and meaning of Prometheus' own, so that its dashboards and
// alerts work; the books are ours.
type metrics struct {
	samples, histograms, exemplars kindMetrics
	metadata                       metadataMetrics
	bytes                          prometheus.Counter
	enqueueRetries                 prometheus.Counter
	batchDuration                  prometheus.Histogram
	highest, highestSent           *highWater

	ownMetrics
	faces faceRoom // how much is taken is a metric

	all []prometheus.Collector
}

// ownMetrics are those that Prometheus has no like of.
type ownMetrics struct {
	doubtful, fallbacks, cuts, duplicates, renamed prometheus.Counter
	stuck, ahead                                   prometheus.Gauge
}

// kindMetrics are those that samples, native histograms and exemplars each have.
type kindMetrics struct {
	sent, failed, retried prometheus.Counter
	dropped               *prometheus.CounterVec
	pending               prometheus.Gauge // nil for samples: the books have it
}

type metadataMetrics struct{ sent, failed, retried, bytes prometheus.Counter }

// maker makes metrics with the labels of one destination.
type maker struct {
	prometheus, own prometheus.Labels
	all             []prometheus.Collector
}

const (
	promNamespace = "prometheus"
	promSubsystem = "remote_storage"
	ownNamespace  = "pushbridge"
	ownSubsystem  = "remotewrite"
)

func (m *maker) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: promNamespace, Subsystem: promSubsystem, Name: name, Help: help, ConstLabels: m.prometheus,
	})
	m.all = append(m.all, c)
	return c
}

func (m *maker) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: promNamespace, Subsystem: promSubsystem, Name: name, Help: help, ConstLabels: m.prometheus,
	})
	m.all = append(m.all, g)
	return g
}

func (m *maker) ownCounter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: ownNamespace, Subsystem: ownSubsystem, Name: name, Help: help, ConstLabels: m.own,
	})
	m.all = append(m.all, c)
	return c
}

func (m *maker) ownGauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: ownNamespace, Subsystem: ownSubsystem, Name: name, Help: help, ConstLabels: m.own,
	})
	m.all = append(m.all, g)
	return g
}

func (m *maker) ownGaugeFunc(name, help string, value func() float64) {
	m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: ownNamespace, Subsystem: ownSubsystem, Name: name, Help: help, ConstLabels: m.own,
	}, value))
}

func (m *maker) kind(name, what string) kindMetrics {
	k := kindMetrics{
		sent:    m.counter(name+"_total", "Number of "+what+" sent, each attempt counted."),
		failed:  m.counter(name+"_failed_total", "Number of "+what+" that were sent and given up."),
		retried: m.counter(name+"_retried_total", "Number of "+what+" in attempts that are tried again."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: promNamespace, Subsystem: promSubsystem, Name: name + "_dropped_total",
			Help:        "Number of " + what + " that were never sent, by reason.",
			ConstLabels: m.prometheus,
		}, []string{"reason"}),
	}
	m.all = append(m.all, k.dropped)
	return k
}

func newMetrics(c *Config, intake *Intake) *metrics {
	mk := &maker{
		prometheus: prometheus.Labels{"remote_name": c.ID(), "url": c.Redacted()},
		own:        prometheus.Labels{"destination": c.ID()},
	}
	m := &metrics{
		samples:    mk.kind("samples", "samples"),
		histograms: mk.kind("histograms", "native histograms"),
		exemplars:  mk.kind("exemplars", "exemplars"),
		metadata: metadataMetrics{
			sent:    mk.counter("metadata_total", "Number of metadata entries sent, each attempt counted."),
			failed:  mk.counter("metadata_failed_total", "Number of metadata entries that were sent and given up."),
			retried: mk.counter("metadata_retried_total", "Number of metadata entries in attempts that are tried again."),
			bytes:   mk.counter("metadata_bytes_total", "Bytes of metadata sent, compressed."),
		},
		bytes:          mk.counter("bytes_total", "Bytes of samples sent, compressed; metadata that goes alone is not in it."),
		enqueueRetries: mk.counter("enqueue_retries_total", "How often a record had to wait because its shard was full."),
		ownMetrics:     newOwnMetrics(mk),
		faces:          faceRoom{max: facesBytes},
	}
	mk.ownGaugeFunc("label_cache_bytes", "Memory for the final labels of series that come again and again, and for requests of large pushes that do.",
		func() float64 { return float64(m.faces.held.Load()) })
	m.histograms.pending = mk.gauge("histograms_pending", "Native histograms in the batches at hand.")
	m.exemplars.pending = mk.gauge("exemplars_pending", "Exemplars in the batches at hand.")
	m.batchDuration = mk.duration()
	m.constants(mk, &c.Queue)
	m.highest = mk.highWater("queue_highest_timestamp_seconds", "Newest timestamp in the log.", intake)
	m.highestSent = mk.highWater("queue_highest_sent_timestamp_seconds", "Newest timestamp that was settled: delivered, or given up.", nil)
	m.all = mk.all
	return m
}

func newOwnMetrics(mk *maker) ownMetrics {
	return ownMetrics{
		doubtful:   mk.ownCounter("careful_requests_total", "Requests that repeated what was perhaps sent before a restart."),
		fallbacks:  mk.ownCounter("fallbacks_total", "How often the receiver turned out not to understand remote write 2.0."),
		cuts:       mk.ownCounter("cut_requests_total", "Requests with a part of a batch that was refused as a whole."),
		duplicates: mk.ownCounter("repeated_exemplars_total", "Exemplars not sent because they were sent before."),
		renamed:    mk.ownCounter("renamed_markers_total", "Stale markers for series that have other names or labels since external labels, relabel rules or the forms of histograms have changed."),
		stuck:      mk.ownGauge("stuck_batches", "Batches, or parts of them, that get nothing but server errors while others succeed: parts that are tried by themselves, and batches that have waited for ten minutes."),
		ahead:      mk.ownGauge("clock_ahead_seconds", "How far ahead of the clock the latest sample was that was dropped for it; 0 when the latest record was not."),
	}
}

// requests returns the requests since the start.
func (m *metrics) requests() Requests {
	var d dto.Metric
	if err := m.batchDuration.Write(&d); err != nil {
		return Requests{} // a histogram of ours can be written
	}
	return Requests{d.GetHistogram().GetSampleCount(), d.GetHistogram().GetSampleSum()}
}

func (m *maker) duration() prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: promNamespace, Subsystem: promSubsystem, Name: "sent_batch_duration_seconds",
		Help:                            "Duration of requests with samples.",
		Buckets:                         append(prometheus.DefBuckets, 25, 60, 120, 300),
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
		ConstLabels:                     m.prometheus,
	})
	m.all = append(m.all, h)
	return h
}

// constants are the gauges that say how the destination is set up.
func (m *metrics) constants(mk *maker, q *QueueConfig) {
	n := float64(q.shards())
	mk.gauge("shards", "Number of shards.").Set(n)
	mk.gauge("shards_desired", "Number of shards that are wanted: always those that are there.").Set(n)
	mk.gauge("shards_min", "Least number of shards that is configured.").Set(float64(q.MinShards))
	mk.gauge("shards_max", "Largest number of shards that is configured.").Set(float64(q.MaxShards))
	mk.gauge("shard_capacity", "Samples that a shard holds in memory.").Set(float64(q.Capacity))
	mk.gauge("max_samples_per_send", "Largest number of samples in a request.").Set(float64(q.MaxSamplesPerSend))
}

// register registers everything, or nothing and returns why.
func (m *metrics) register(reg prometheus.Registerer, more ...prometheus.Collector) (unregister func(), err error) {
	if reg == nil {
		return func() {}, nil
	}
	var done []prometheus.Collector
	unregister = func() {
		for _, c := range done {
			reg.Unregister(c)
		}
	}
	for _, c := range append(m.all, more...) {
		if err := reg.Register(c); err != nil {
			unregister()
			return nil, fmt.Errorf("register metrics: %w", err)
		}
		done = append(done, c)
	}
	return unregister, nil
}

// highWater is a gauge of timestamps that only moves up.
type highWater struct {
	prometheus.GaugeFunc
	mu sync.Mutex
	ms int64
}

func (m *maker) highWater(name, help string, intake *Intake) *highWater {
	h := &highWater{}
	h.GaugeFunc = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: promNamespace, Subsystem: promSubsystem, Name: name, Help: help, ConstLabels: m.prometheus,
	}, func() float64 { return float64(max(h.value(), intake.Newest())) / 1000 })
	m.all = append(m.all, h)
	return h
}

func (h *highWater) raise(ms int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ms = max(h.ms, ms)
}

func (h *highWater) value() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ms
}

// sending counts a request that is about to leave.
func (m *metrics) sending(c census, bytes int) {
	m.samples.sent.Add(float64(c.samples))
	m.histograms.sent.Add(float64(c.histograms))
	m.exemplars.sent.Add(float64(c.exemplars))
	m.bytes.Add(float64(bytes))
}

// atHand counts what is being sent, until the function that it returns is called.
func (m *metrics) atHand(c census) (done func()) {
	m.histograms.pending.Add(float64(c.histograms))
	m.exemplars.pending.Add(float64(c.exemplars))
	return func() {
		m.histograms.pending.Sub(float64(c.histograms))
		m.exemplars.pending.Sub(float64(c.exemplars))
	}
}

// retried counts a request that will be repeated.
func (m *metrics) retried(c census) {
	m.samples.retried.Add(float64(c.samples))
	m.histograms.retried.Add(float64(c.histograms))
	m.exemplars.retried.Add(float64(c.exemplars))
}

// gaveUp counts what was in a request and will not be delivered.
func (m *metrics) gaveUp(c census, why reason) {
	if why.failed() {
		m.samples.failed.Add(float64(c.samples))
		m.histograms.failed.Add(float64(c.histograms))
		m.exemplars.failed.Add(float64(c.exemplars))
		return
	}
	m.samples.dropped.WithLabelValues(why.String()).Add(float64(c.samples))
	m.histograms.dropped.WithLabelValues(why.String()).Add(float64(c.histograms))
	m.exemplars.dropped.WithLabelValues(why.String()).Add(float64(c.exemplars))
}

// unsent counts what never came into a request.
func (m *metrics) unsent(why reason, n uint64) {
	k := &m.samples
	if why == nativeNotSent {
		k = &m.histograms
	}
	k.dropped.WithLabelValues(why.String()).Add(float64(n))
}
