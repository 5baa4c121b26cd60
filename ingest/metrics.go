package ingest

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the figures of the write side. Those named pushgateway_* are
// Pushgateway's own names, which dashboards ask for.
type metrics struct {
	requests *prometheus.CounterVec
	size     *prometheus.SummaryVec
	duration *prometheus.SummaryVec
	refused  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, b *bodyParser) *metrics {
	objectives := map[float64]float64{0.1: 0.01, 0.5: 0.05, 0.9: 0.01}
	const ages = 2 // each costs a push as much again: quantiles are those of the last five to ten minutes
	m := &metrics{
		size: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name:       "pushgateway_http_push_size_bytes",
			Help:       "HTTP request size for pushes, as sent, under the name that Pushgateway uses.",
			Objectives: objectives,
			AgeBuckets: ages,
		}, []string{"method"}),
		duration: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name:       "pushgateway_http_push_duration_seconds",
			Help:       "HTTP request duration for pushes, the wait for the disk included, under the name that Pushgateway uses.",
			Objectives: objectives,
			AgeBuckets: ages,
		}, []string{"method"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushbridge_ingest_refused_total",
			Help: "Requests that were refused, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range reasons {
		m.refused.WithLabelValues(string(reason))
	}
	m.requests = RequestCounter(reg)
	if reg != nil {
		reg.MustRegister(m.size, m.duration, m.refused, decoded(b), inFlight(b.budget), inFlightLimit(b.budget))
		reg.MustRegister(shapeCacheCollectors(b.shapes)...)
	}
	return m
}

func decoded(b *bodyParser) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "pushbridge_ingest_decoded_bytes_total",
		Help: "Bytes of pushed bodies after decompression.",
	}, func() float64 { return float64(b.decoded.Load()) })
}

func shapeCacheCollectors(c *shapeCache) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pushbridge_ingest_shape_cache_hits_total",
			Help: "Pushes of a body that was parsed before with other values.",
		}, func() float64 { return float64(c.stats().hits) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pushbridge_ingest_shape_cache_misses_total",
			Help: "Pushes of a body that the cache could have known, and did not.",
		}, func() float64 { return float64(c.stats().misses) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pushbridge_ingest_shape_cache_bytes",
			Help: "Estimated memory of the bodies that the cache knows.",
		}, func() float64 { return float64(c.stats().bytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pushbridge_ingest_shape_cache_bodies",
			Help: "Bodies that the cache knows.",
		}, func() float64 { return float64(c.stats().texts) }),
	}
}

func inFlight(b *budget) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pushbridge_ingest_inflight_bytes",
		Help: "Estimated memory of the pushes that are being read and parsed.",
	}, func() float64 { return float64(b.used.Load()) })
}

func inFlightLimit(b *budget) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pushbridge_ingest_inflight_limit_bytes",
		Help: "Bound of pushbridge_ingest_inflight_bytes; pushes beyond it are answered 503.",
	}, func() float64 { return float64(b.limit) })
}

// RequestCounter returns the counter pushgateway_http_requests_total of reg,
// with the labels handler, code and method, and registers it when it is not
// there yet: the read side counts its requests in the same one.
func RequestCounter(reg prometheus.Registerer) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pushgateway_http_requests_total",
		Help: "HTTP requests processed, scrapes excluded, under the name that Pushgateway uses.",
	}, []string{"handler", "code", "method"})
	if reg == nil {
		return c
	}
	if err := reg.Register(c); err != nil {
		are, ok := err.(prometheus.AlreadyRegisteredError) //nolint:errorlint // the registry returns it bare
		if !ok {
			panic("ingest: " + err.Error())
		}
		return are.ExistingCollector.(*prometheus.CounterVec)
	}
	return c
}

// counted counts the requests of one handler.
func (m *metrics) counted(name string, h http.HandlerFunc) http.Handler {
	return promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(prometheus.Labels{"handler": name}), h)
}
