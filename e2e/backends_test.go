//go:build backends

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// built is a backend that make e2e-backends builds.
type built struct {
	name    string // of its section in docs/getting-started.md, and in lower case of its binary
	tenants string // the header that names the tenant
	start   func(t testing.TB, b built, more ...string) *started
	limits  []string // flags that undo what the page sets: its own defaults
	strict  []string // flags that tell tenants apart
	unheld  string   // the type that it must not be sent
	// protocols is which version is in use in the end, by what the destination says.
	protocols map[string]float64
}

// started is a backend that runs as its section says.
type started struct {
	*server
	dir  string // with the files of the section
	here *strings.Replacer
}

// protocolConfigs is what the section of a destination has for each.
var protocolConfigs = map[string]string{
	"1.0":        "    protobuf_message: prometheus.WriteRequest\n",
	"2.0":        "    protobuf_message: io.prometheus.write.v2.Request\n",
	"negotiated": "",
}

func backends() []built {
	both := map[string]float64{"1.0": 1, "2.0": 2, "negotiated": 2}
	return []built{
		{
			name: "Thanos", tenants: "THANOS-TENANT", start: startThanos,
			limits:    []string{"--tsdb.out-of-order.time-window=2h", "--tsdb.out-of-order.time-window=0s", "--tsdb.too-far-in-future.time-window=10m", "--tsdb.too-far-in-future.time-window=0s"},
			protocols: map[string]float64{"1.0": 1, "negotiated": 1}, // it answers 2.0 with 200, and stores nothing
		},
		{
			name: "Cortex", tenants: "X-Scope-OrgID", start: startOne,
			limits: []string{"-ingester.out-of-order-time-window=0s", "-blocks-storage.tsdb.enable-native-histograms=false"},
			strict: []string{"-auth.enabled=true"}, protocols: both,
			unheld: "native float histogram", // 1.21.1 fails inside when it stores one
		},
		{
			name: "Mimir", tenants: "X-Scope-OrgID", start: startOne,
			limits: []string{"-ingester.out-of-order-time-window=0s", "-validation.name-validation-scheme=legacy"},
			strict: []string{"-auth.multitenancy-enabled=true"}, protocols: both,
		},
	}
}

// binary is where make e2e-backends has put it.
func (b built) binary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(os.Getenv("BACKENDS"), strings.ToLower(b.name))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: make e2e-backends builds it", err)
	}
	return path
}

// startOne starts Cortex or Mimir, which are one process, with further flags.
func startOne(t testing.TB, b built, more ...string) *started {
	t.Helper()
	s := &started{dir: t.TempDir()}
	g := readGuides(t)[b.name]
	p, url := startOnPort(t, b.name, b.binary(t), "/ready", func(addr string) []string {
		s.here = hereFor(s.dir, g, "localhost:9009", addr)
		writeFiles(t, s.dir, g, s.here)
		args := append(strings.Fields(s.here.Replace(g.commands[0]))[1:], b.loopback(t, addr)...)
		return append(args, more...)
	})
	s.server = &server{process: p, url: url, write: url + "/api/v1/push", api: "/prometheus"}
	return s
}

// loopback is the flags that keep it to this machine and to free ports, and make it ready
// at once.
func (b built) loopback(t testing.TB, addr string) []string {
	t.Helper()
	const host = "127.0.0.1"
	flags := []string{
		"-server.http-listen-address=" + host, "-server.http-listen-port=" + port(t, addr), "-log.level=warn",
		"-server.grpc-listen-address=" + host, "-server.grpc-listen-port=" + port(t, freeAddress(t)),
	}
	if b.name == "Cortex" {
		return append(flags, "-ingester.min-ready-duration=0s", "-alertmanager.cluster.listen-address=")
	}
	for _, part := range []string{"ingester.ring", "distributor.ring", "compactor.ring", "store-gateway.sharding-ring", "ruler.ring", "alertmanager.sharding-ring", "query-scheduler.ring", "overrides-exporter.ring", "query-frontend"} {
		flags = append(flags, "-"+part+".instance-addr="+host)
	}
	return append(flags, "-ingester.ring.min-ready-duration=0s", "-usage-stats.enabled=false",
		"-memberlist.bind-addr="+host, "-memberlist.bind-port="+port(t, freeAddress(t)))
}

func port(t testing.TB, addr string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// startThanos starts Receive, and Query to ask it. Its flags can be given once only: more
// is pairs of one on the page and one in its place.
func startThanos(t testing.TB, b built, more ...string) *started {
	t.Helper()
	s := &started{dir: t.TempDir()}
	g := readGuides(t)[b.name]
	takes := freeAddress(t)
	pairs := append([]string{`\"`, `"`}, more...)
	for _, documented := range []string{"10901", "10904", "19291"} {
		addr := freeAddress(t)
		if documented == "19291" {
			addr = takes
		}
		pairs = append(pairs, "localhost:"+documented, addr, "0.0.0.0:"+documented, addr)
	}
	run := func(i int, name, documented string, flags ...string) (*process, string) {
		return startOnPort(t, name, b.binary(t), "/-/ready", func(addr string) []string {
			s.here = hereFor(s.dir, g, append(pairs, "localhost:"+documented, addr, "0.0.0.0:"+documented, addr)...)
			writeFiles(t, s.dir, g, s.here)
			return append(strings.Fields(s.here.Replace(g.commands[i]))[1:], flags...)
		})
	}
	run(0, "thanos-receive", "10902", "--receive.capnproto-address=127.0.0.1:0", "--log.level=warn")
	p, url := run(1, "thanos-query", "10903", "--log.level=warn")
	s.server = &server{process: p, url: url, write: "http://" + takes + "/api/v1/receive", adds: []string{"receive_replica", "tenant_id"}}
	return s
}

// TestBackendsGettingStarted follows docs/getting-started.md with what cannot be installed.
func TestBackendsGettingStarted(t *testing.T) {
	guides := readGuides(t)
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := b.start(t, b)
			walk(t, s.dir, guides[""], guides[b.name], s.here)
		})
	}
}

// TestBackendsHoldEveryType pushes each type by each protocol, asks for it, and asks again
// after DELETE: it is gone at once.
func TestBackendsHoldEveryType(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := b.start(t, b)
			for name, protocol := range b.protocols {
				t.Run(name, func(t *testing.T) {
					g := startPushbridge(t, "--config.file="+remoteWrite(t, s, protocolConfigs[name]+"    send_native_histograms: true\n"))
					for _, typ := range everyType() {
						if typ.name != b.unheld {
							t.Run(typ.name, func(t *testing.T) { checkType(t, g, s, typ) })
						}
					}
					if v := g.metric(t, "pushbridge_remotewrite_protocol_version"); v != protocol {
						t.Errorf("remote write version in use is %v", v)
					}
					for _, reason := range []string{"refused", "not_written"} {
						waitMetric(t, g, 0, "pushbridge_remotewrite_samples_dropped_total", "reason", reason)
					}
				})
			}
		})
	}
}

// TestBackendsRefuseInPart pushes a sample that is older than what its series has beside
// good ones: these are stored, and it alone is counted as refused.
func TestBackendsRefuseInPart(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := b.start(t, b, b.limits...)
			for job := range b.protocols {
				t.Run(job, func(t *testing.T) {
					g := startPushbridge(t, "--config.file="+remoteWrite(t, s, protocolConfigs[job]))
					ahead(t, s, job)
					g.put(t, job, "a 1\nm 2\nz 3\nzz 4\n")
					waitQuery(t, s, fmt.Sprintf(`{job=%q,__name__=~"a|m|z+"}`, job), ofJob("a", job, 1), ofJob("z", job, 3), ofJob("zz", job, 4))
					checkBooks(t, g, 6, 5, 1)
				})
			}
		})
	}
}

// TestBackendsTakeWhatIsLate pushes a sample that is older than what its series has, to
// backends that are set up as the page says.
func TestBackendsTakeWhatIsLate(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := b.start(t, b)
			g := startPushbridge(t, "--config.file="+remoteWrite(t, s, ""))
			ahead(t, s, "late")
			g.put(t, "late", "m 2\n")
			waitQuery(t, s, "m", ofJob("m", "late", 2))
			checkBooks(t, g, 3, 3, 0)
		})
	}
}

// ahead makes the backend store a sample of m five minutes from now, by itself.
func ahead(t *testing.T, s *started, job string) {
	t.Helper()
	if got := version1(job, time.Now(), []written{sampleOf(-5*time.Minute, 9)}).post(t, s.writeURL(), nil); got != "200" {
		t.Fatalf("a sample ahead of now is answered %s", got)
	}
}

func ofJob(name, job string, v float64) string {
	return fmt.Sprintf("%s{job=%q} %v", name, job, v)
}

// checkBooks waits until so many samples are accepted, delivered and refused, and no other
// account has any.
func checkBooks(t *testing.T, g *gateway, accepted, delivered, refused float64) {
	t.Helper()
	const samples = "pushbridge_remotewrite_samples_"
	waitMetric(t, g, 0, samples+"pending")
	waitMetric(t, g, accepted, samples+"accepted_total")
	waitMetric(t, g, delivered, samples+"delivered_total")
	waitMetric(t, g, refused, samples+"dropped_total", "reason", "refused")
	waitMetric(t, g, refused, samples+"dropped_total")
	waitMetric(t, g, 0, samples+"in_doubt_total")
}

// TestBackendsTenants pushes for two tenants, each of which sees its own.
func TestBackendsTenants(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := b.start(t, b, b.strict...)
			text := "remote_write:\n"
			for _, tenant := range []string{"a", "b"} {
				text += fmt.Sprintf("- name: %s\n  url: %s\n  headers: {%s: %[1]s}\n  write_relabel_configs: [{source_labels: [job], regex: %[1]s, action: keep}]\n", tenant, s.writeURL(), b.tenants)
			}
			file := filepath.Join(t.TempDir(), "pushbridge.yml")
			write(t, file, text)
			g := startPushbridge(t, "--config.file="+file)
			g.put(t, "a", "m 1\n")
			g.put(t, "b", "m 2\n")
			for _, tenant := range []string{"a", "b"} {
				eventually(t, "what "+tenant+" has", func() error { return b.hasOnly(t, s, tenant) })
			}
			if b.strict == nil {
				return
			}
			if r := version1("x", time.Now(), nil).post(t, s.writeURL(), nil); !strings.HasPrefix(r, "401") {
				t.Errorf("without a tenant: %s", r)
			}
		})
	}
}

// hasOnly fails unless the tenant has the one series of its job. Thanos has the tenant as a
// label, the others ask who wants to know.
func (b built) hasOnly(t *testing.T, s *started, tenant string) error {
	t.Helper()
	query, headers := "m", []string{b.tenants, tenant}
	if b.name == "Thanos" {
		query, headers = "m{tenant_id=%22"+tenant+"%22}", nil
	}
	code, answer, err := send(t.Context(), http.MethodGet, s.url+s.api+"/api/v1/query?query="+query, "", headers)
	if err != nil || code != http.StatusOK {
		return fmt.Errorf("%d %s: %w", code, answer, err)
	}
	jobs := jobLabel.FindAllString(answer, -1)
	if want := []string{fmt.Sprintf(`"job":%q`, tenant)}; !slices.Equal(jobs, want) {
		return fmt.Errorf("got %s", answer)
	}
	return nil
}
