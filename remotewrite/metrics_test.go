package remotewrite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
)

// gathered returns every value by metric and labels, destination labels left out.
func gathered(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var extra []string
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "remote_name", "url", "destination":
				default:
					extra = append(extra, l.GetName()+"="+l.GetValue())
				}
			}
			name := strings.TrimPrefix(f.GetName(), "prometheus_remote_storage_")
			if len(extra) > 0 {
				name += "{" + strings.Join(extra, ",") + "}"
			}
			out[name] = valueOf(m)
		}
	}
	return out
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return -1
}

// The names that the official mixin's dashboards and alerts select, and the rest
// of the family, each with remote_name and url.
func TestMetricsOfThePrometheusFamily(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := setup{options: Options{Registerer: reg}, config: func(c *Config) { c.Name = "mimir" }}
	bubble(t, s, func(t *testing.T, b *bench) {
		if _, err := NewIntake(reg); err != nil {
			t.Fatal(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, f := range families {
			if name, ok := strings.CutPrefix(f.GetName(), "prometheus_remote_storage_"); ok {
				var labels []string
				for _, l := range f.GetMetric()[0].GetLabel() {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
				got[name] = strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, ",")
			}
		}
		want := map[string]string{}
		const both = "remote_name=mimir,url=http://user:xxxxx@receiver/write"
		for _, name := range []string{
			"samples_total", "samples_failed_total", "samples_retried_total", "exemplars_total", "exemplars_failed_total",
			"exemplars_retried_total", "histograms_total", "histograms_failed_total", "histograms_retried_total", "metadata_total",
			"metadata_failed_total", "metadata_retried_total", "metadata_bytes_total", "bytes_total", "enqueue_retries_total",
		} {
			want[name] = "counter " + both
		}
		for _, name := range []string{
			"samples_pending", "histograms_pending", "exemplars_pending", "shards", "shards_min", "shards_max", "shards_desired",
			"shard_capacity", "max_samples_per_send", "queue_highest_timestamp_seconds", "queue_highest_sent_timestamp_seconds",
		} {
			want[name] = "gauge " + both
		}
		want["sent_batch_duration_seconds"] = "histogram " + both
		for _, name := range []string{"samples_in_total", "histograms_in_total", "exemplars_in_total"} {
			want[name] = "counter "
		}
		want["highest_timestamp_in_seconds"] = "gauge "
		same(t, want, got)
	})
}

func TestMetricsMove(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := setup{options: Options{Registerer: reg}, config: func(c *Config) { c.SendExemplars, c.SendNativeHistograms = true, true }}
	s.answer = func(_ *request, n int) reply {
		switch {
		case n == 0:
			return reply{status: 500}
		case n >= 2:
			return reply{status: 400}
		}
		return reply{}
	}
	bubble(t, s, func(t *testing.T, b *bench) {
		began := time.Now()
		b.putDTO(groupingKey("job", "j"), exemplarFamily(time.Now()), nativeFamily(true))
		settled(t, b.d)
		m := gathered(t, reg)
		for name, want := range map[string]float64{
			"samples_total": 6, "histograms_total": 2, "exemplars_total": 2, "samples_retried_total": 3, "histograms_retried_total": 1,
			"exemplars_retried_total": 1, "samples_failed_total": 0, "samples_pending": 0, "samples_dropped_total{reason=classic_not_sent}": 4,
			"sent_batch_duration_seconds": 2, "shards": 4, "shards_desired": 4, "shards_max": 50, "shards_min": 1, "shard_capacity": 10000,
			"max_samples_per_send":                                                  2000,
			"pushbridge_remotewrite_samples_accepted_total":                         8,
			"pushbridge_remotewrite_samples_delivered_total":                        4,
			"pushbridge_remotewrite_samples_dropped_total{reason=classic_not_sent}": 4,
			"pushbridge_remotewrite_samples_in_doubt_total":                         0,
			"pushbridge_remotewrite_samples_pending":                                0,
			"pushbridge_remotewrite_protocol_version":                               1,
			"pushbridge_remotewrite_refresh_samples_total{outcome=delivered}":       0,
		} {
			if got, ok := m[name]; !ok || got != want {
				t.Errorf("%s: got %v (%t), want %v", name, got, ok, want)
			}
		}
		if m["bytes_total"] == 0 || m["queue_highest_timestamp_seconds"] != m["queue_highest_sent_timestamp_seconds"] ||
			m["queue_highest_sent_timestamp_seconds"] < float64(began.Unix()) {
			t.Errorf("bytes %v, highest %v, sent %v", m["bytes_total"], m["queue_highest_timestamp_seconds"], m["queue_highest_sent_timestamp_seconds"])
		}
		b.put("a 1", "job", "k") // refused
		settled(t, b.d)
		m = gathered(t, reg)
		if m["samples_failed_total"] != 3 || m["pushbridge_remotewrite_samples_dropped_total{reason=refused}"] != 3 {
			t.Errorf("after a refusal: %v", m["samples_failed_total"])
		}
		if m["queue_highest_timestamp_seconds"] != m["queue_highest_sent_timestamp_seconds"] {
			t.Error("a refused batch does not count as settled")
		}
	})
}

// The alert on falling behind compares two timestamps: the first must move while
// nothing is delivered.
func TestFallingBehindShows(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	intake, err := NewIntake(reg)
	if err != nil {
		t.Fatal(err)
	}
	s := setup{
		options: Options{Registerer: reg, Intake: intake}, config: func(c *Config) { c.Queue.Capacity = 10 },
		answer: func(*request, int) reply { return reply{status: 500} },
	}
	bubble(t, s, func(t *testing.T, b *bench) {
		for i := range 60 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
			intake.Observe(&group.Record{Kind: group.KindPut, Time: time.Now().UnixMilli()})
			time.Sleep(10 * time.Second)
		}
		m := gathered(t, reg)
		if behind := m["queue_highest_timestamp_seconds"] - float64(time.Now().Unix()); behind < -11 {
			t.Errorf("the newest timestamp is %v s old", behind)
		}
		if sent := m["queue_highest_sent_timestamp_seconds"]; sent != 0 {
			t.Errorf("sent %v", sent)
		}
		if m["samples_pending"] != 180 || m["enqueue_retries_total"] == 0 {
			t.Errorf("pending %v, enqueue retries %v", m["samples_pending"], m["enqueue_retries_total"])
		}
	})
}

func TestIntakeCounts(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	n, err := NewIntake(reg)
	if err != nil {
		t.Fatal(err)
	}
	n.Observe(benchRecord(t, 100))
	n.Observe(&group.Record{Kind: group.KindClock, Time: 1})
	m := gathered(t, reg)
	if m["samples_in_total"] != float64(benchRecord(t, 100).Samples()) || m["highest_timestamp_in_seconds"] != float64(gatewayEpoch.Unix()) {
		t.Errorf("got %v", m)
	}
	(*Intake)(nil).Observe(nil) // nobody counts
}

func TestMetricsAreGoneWithTheDestination(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	bubble(t, setup{options: Options{Registerer: reg}}, func(t *testing.T, b *bench) {
		b.stop()
		if m := gathered(t, reg); len(m) != 0 {
			t.Errorf("left: %v", slices.Sorted(maps.Keys(m)))
		}
	})
}

// Every look at the books balances, also in the middle of everything.
func TestBooksBalanceAtEachLook(t *testing.T) {
	s := setup{options: Options{External: groupingKey("x", "1")}, config: func(c *Config) { c.Queue.Capacity = 20 }}
	var calm atomic.Bool
	s.answer = func(_ *request, n int) reply {
		if calm.Load() {
			return reply{}
		}
		time.Sleep(time.Duration(n%5) * time.Millisecond)
		return []reply{{}, {status: 500}, {status: 400}, {lost: true}, {status: 404}}[n%5]
	}
	bubble(t, s, func(t *testing.T, b *bench) {
		last := uint64(0)
		for i := range 300 {
			b.put(fmt.Sprintf("a{x=\"%d\"} %d\na 1", i%3, i), "job", fmt.Sprint(i%7))
			if i%10 == 0 {
				b.refresh()
			}
			books := b.d.ledger.run()
			checkBooks(t, books)
			if books.Accepted < last || books.Accepted != b.pushed.Load() {
				t.Fatalf("accepted %d after %d, pushed %d", books.Accepted, last, b.pushed.Load())
			}
			last = books.Accepted
		}
		calm.Store(true)
		settled(t, b.d)
	})
}
