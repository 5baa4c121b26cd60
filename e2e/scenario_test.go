package e2e

import (
	"bytes"
	"net/http"

	"github.com/golang/snappy"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// checkedScenarios run with the consistency check, wiped after each.
func checkedScenarios() []scenario {
	var all []scenario
	all = append(all, changeScenarios()...)
	all = append(all, conflictScenarios()...)
	all = append(all, pathScenarios()...)
	all = append(all, redirectScenarios()...)
	all = append(all, textScenarios()...)
	return append(all, bodyScenarios()...)
}

const failedAt5 = "# HELP push_failure_time_seconds Last Unix time when changing this group in the Pushgateway failed.\n" +
	"# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 5\n"

const gauge1 = "# TYPE m gauge\nm 1\n"

func changeScenarios() []scenario {
	return []scenario{
		{name: "put", steps: []step{put("a", gauge1), put("a/instance/b", gauge1), put("a", "# TYPE m gauge\nm{l=\"x\"} 2\n")}},
		{name: "post adds families", steps: []step{put("a", gauge1), post("a", "n 2\n"), post("a", "# TYPE m counter\nm 3\n")}},
		{name: "put replaces", steps: []step{post("a", gauge1), put("a", "n 2\n")}},
		{name: "empty put", steps: []step{put("a", gauge1), put("a", "")}},
		{name: "empty post", steps: []step{put("a", gauge1), post("a", "")}},
		{name: "empty push to a new group", steps: []step{put("a", ""), post("b", "")}},
		{name: "delete", steps: []step{put("a", gauge1), put("a/i/b", gauge1), remove("a")}},
		{name: "delete of an absent group", steps: []step{remove("a")}},
		{name: "delete after failure", steps: []step{put("a", "m 1 123\n"), remove("a")}},
		{name: "every type", steps: []step{put("nightly/instance/db1", nightly)}},
		{name: "labels of the URL win", steps: []step{put("a/l/url", "m{l=\"body\",job=\"body\",k=\"kept\"} 1\n")}},
		{name: "instance of the body", steps: []step{put("a", "m{instance=\"body\"} 1\nn 2\n")}},
		{name: "empty instance of the URL", steps: []step{put("a/instance@base64/=", "m{instance=\"body\"} 1\n")}},
		{name: "empty label", steps: []step{put("a", "m{x=\"\"} 1\nm 2\n")}},
		{name: "push times in the body", steps: []step{put("a", "push_time_seconds 5\n")}},
		{name: "failure time in the body of a new group", views: "Pushgateway writes a 0 over it", steps: []step{put("a", "push_failure_time_seconds{x=\"y\"} 5\n")}},
		{name: "failure time in the body", steps: []step{put("a", gauge1), put("a", failedAt5)}},
		{name: "wipe", steps: []step{put("a", gauge1), put("b", gauge1), req("PUT", "/api/v1/admin/wipe")}},
		{name: "wipe with another method", steps: []step{req("GET", "/api/v1/admin/wipe"), req("POST", "/api/v1/admin/wipe"), req("OPTIONS", "/api/v1/admin/wipe")}},
	}
}

func conflictScenarios() []scenario {
	timestamped := put("a", "# TYPE m gauge\nm 2 1600000000000\n")
	return []scenario{
		{name: "timestamp", steps: []step{timestamped}},
		{name: "timestamp of push_time_seconds", steps: []step{put("a", "push_time_seconds 2 0\n")}},
		{name: "timestamp zero", steps: []step{put("a", "m 2 0\n")}},
		{name: "timestamp for an existing group", steps: []step{put("a", gauge1), timestamped}},
		{name: "success after failure", steps: []step{timestamped, put("a", gauge1)}},
		{name: "duplicate series", steps: []step{put("a", "m 1\nm 2\n")}},
		{name: "series made equal by the URL", steps: []step{put("a/l/x", "m{l=\"1\"} 1\nm{l=\"2\"} 2\n")}},
		{name: "type conflict with another group", steps: []step{put("a", gauge1), put("b", "# TYPE m counter\nm 1\n")}},
		{name: "same series in two groups", steps: []step{put("a/x/y", gauge1), put("a", "# TYPE m gauge\nm{x=\"y\"} 2\n")}},
		{name: "same series by an empty label", steps: []step{put("a", gauge1), put("a/x@base64/=", gauge1)}},
		{name: "two helps", steps: []step{put("a", "# HELP m one\n"+gauge1), put("b", "# HELP m one\n"+gauge1)}},
		{name: "summary and its count", steps: []step{put("a", "# TYPE s summary\ns_count 1\ns_sum 1\n"), put("b", "s_count 1\n")}},
		{name: "histogram and its bucket", steps: []step{put("a", "h_bucket 1\n"), put("b", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n")}},
		{name: "reserved label in the body", steps: []step{put("a", "m{__x=\"y\"} 1\n")}},
		{name: "own name with another type", steps: []step{put("a", "# TYPE go_goroutines counter\ngo_goroutines 1\n")}},
		{name: "push time series of another group", steps: []step{put("a", gauge1), put("b", "push_time_seconds{job=\"a\"} 1\n")}},
	}
}

// cleaned is why a path that is not clean is answered differently.
const cleaned = "newer builds have a Go whose mux keeps method and escapes when it cleans a path"

func pathScenarios() []scenario {
	send := func(path string) step { return step{method: http.MethodPut, path: path, body: gauge1} }
	return []scenario{
		{name: "doubled slash", steps: []step{
			send("/metrics//job/a").formerly(301, cleaned), send("//metrics/job/a").formerly(301, cleaned), send("/metrics/job/a//b").formerly(301, cleaned),
		}},
		{name: "dots", steps: []step{send("/metrics/./job/a").formerly(301, cleaned), send("/metrics/job/../job/a").formerly(301, cleaned)}},
		{name: "wrong case", steps: []step{send("/METRICS/job/a"), send("/metrics/JOB/a"), req("GET", "/METRICS")}},
		{name: "no job", steps: []step{send("/metrics/job/"), send("/metrics/job"), send("/metrics/jobs/a"), send("/metrics")}},
		{name: "trailing slash", steps: []step{send("/metrics/job/a/"), send("/metrics/job/b/x/")}},
		{name: "odd number of labels", steps: []step{send("/metrics/job/a/b"), send("/metrics/job/a/b/c/d")}},
		{name: "encoded slash", steps: []step{send("/metrics/job/a%2Fb"), send("/metrics/job/a/l/x%2Fk/y")}},
		{name: "encoded characters", steps: []step{send("/metrics/job/a%20b/l/%C3%BC"), send("/metrics/job/a+b"), send("/metrics/job/a%25b")}},
		{name: "encoded dots", viewsFormerly: "it pushes nothing", steps: []step{
			send("/metrics/job/%2E%2E").formerly(301, cleaned), send("/metrics/job/a/l/%2E%2E").formerly(301, cleaned), send("/metrics/job/%2E").formerly(301, cleaned),
		}},
		{name: "job twice", steps: []step{send("/metrics/job/a/job/b")}},
		{name: "label twice", steps: []step{send("/metrics/job/a/l/1/l/2")}},
		{name: "bad label name", steps: []step{send("/metrics/job/a/0l/x"), send("/metrics/job/a/__l/x"), send("/metrics/job/a/l-l/x")}},
		{name: "base64", steps: []step{
			send("/metrics/job@base64/YS9i"), send("/metrics/job/a/path@base64/L3Zhci90bXA"), send("/metrics/job/a/path@base64/L3Zhci90bXA="),
			send("/metrics/job/a/path@base64/L3Zhci90bXA==="), send("/metrics/job@base64/w7w_"), send("/metrics/job@base64/w7w/"),
		}},
		{name: "empty value in base64", steps: []step{send("/metrics/job/a/l@base64/="), send("/metrics/job/b/l@base64/==")}},
		{name: "bad base64", steps: []step{send("/metrics/job@base64/+++"), send("/metrics/job/a/l@base64/a"), send("/metrics/job@base64/=/l@base64/a")}},
		{name: "delete with bad paths", steps: []step{req("DELETE", "/metrics/job/a/b"), req("DELETE", "/metrics/job@base64/+++"), req("DELETE", "/metrics")}},
		{name: "other methods", steps: []step{
			req("GET", "/metrics/job/a"), req("HEAD", "/metrics/job/a"), req("OPTIONS", "/metrics/job/a"), req("PATCH", "/metrics/job/a"),
			req("HEAD", "/metrics"), req("OPTIONS", "/metrics"), req("POST", "/metrics"), req("DELETE", "/metrics"),
			req("HEAD", "/-/healthy"), req("OPTIONS", "/-/ready"), req("POST", "/-/healthy"), req("OPTIONS", "/"), req("POST", "/status"),
		}},
	}
}

// misdirected is why redirects within the API lead elsewhere.
const misdirected = "Pushgateway forgets /api/v1 in the address, which leads to another view or to 404"

func redirectScenarios() []scenario {
	return []scenario{
		{name: "slash at the end", steps: []step{
			req("GET", "/metrics/"), req("GET", "/status/"), req("GET", "/-/healthy/"), req("GET", "/-/quit/"), req("PUT", "/-/quit/"),
			req("GET", "/status/?a=b"), req("PUT", "/status/"), req("HEAD", "/status/"), req("OPTIONS", "/status/"),
		}},
		{name: "no slash at the end", steps: []step{
			req("GET", "/static"), req("PUT", "/static"), req("HEAD", "/debug/pprof"), req("GET", "/debug/pprof"), req("OPTIONS", "/debug/pprof"),
		}},
		{name: "wrong case of a view", steps: []step{
			req("GET", "/METRICS"), req("GET", "/METRICS?a=b"), req("GET", "/Status/"), req("GET", "/STATIC/x"), req("POST", "/-/QUIT"),
			req("PUT", "/METRICS"), req("HEAD", "/METRICS"), req("OPTIONS", "/METRICS"), req("GET", "/API/v1/status"),
		}},
		{name: "unclean", steps: []step{
			req("GET", "//metrics").formerly(301, cleaned), req("GET", "/x/../status").formerly(301, cleaned), req("PUT", "/metrics//").formerly(301, cleaned),
		}},
		{name: "API", steps: []step{
			req("GET", "/api/v1/metrics/").but(301, 301, misdirected), req("GET", "/api/v1/STATUS").but(301, 301, misdirected),
			req("PUT", "/api/v1/admin/wipe/").but(307, 307, misdirected),
			req("GET", "/api/v1").formerly(301, cleaned), req("GET", "/api"), req("GET", "/api/"), req("GET", "/api/v2/status"),
		}},
	}
}

func textScenarios() []scenario {
	ok, bad := func(body string) step { return put("a", body) }, func(body string) step { return put("b", body) }
	return []scenario{
		{name: "values", steps: []step{ok("a 1e3\nb -0\nc NaN\nd +Inf\ne -Inf\nf .5\ng 5.\nh nan\ni infinity\n")}},
		{name: "bad values", steps: []step{bad("a 0x1F\n"), bad("a 1_000\n"), bad("a 1e400\n"), bad("a\n"), bad("a one\n"), bad("a 1 \n"), bad("a 1 2 3\n")}},
		{name: "no final newline", steps: []step{bad("a 1").but(200, 400, "pushbridge accepts it")}, views: "the push is accepted by one only"},
		{name: "no final newline behind a comment", steps: []step{bad("# TYPE a gaugea 1"), bad("a 1\n# EOF")}},
		{name: "carriage returns", steps: []step{bad("# TYPE a gauge\r\na 1\r\n").but(200, 400, "pushbridge accepts it")}, views: "the push is accepted by one only"},
		{name: "comments and blanks", steps: []step{ok("\n# a comment\n#\n   m{ l = \"x\" , } 1\n\t n 2\n# EOF\n")}},
		{name: "escapes", steps: []step{ok("# HELP m a \\\\ and \\n\nm{l=\"\\\"\\\\\\n\"} 1\n")}},
		{name: "help and type", steps: []step{ok("m 1\n# HELP m after\n"), bad("# TYPE m gauge\n# TYPE m gauge\nm 1\n"), bad("m 1\n# TYPE m gauge\n"), bad("# HELP m a\n# HELP m b\nm 1\n")}},
		{name: "types", steps: []step{ok("# TYPE m GAUGE\nm 1\n"), ok("# TYPE m untyped\nm 1\n"), bad("# TYPE m info\nm 1\n"), bad("# TYPE m unknown\nm 1\n")}},
		{name: "help without samples", steps: []step{ok("# HELP m help\n# TYPE m gauge\nn 1\n")}},
		{name: "exemplar", steps: []step{bad("# TYPE m counter\nm 1 # {a=\"b\"} 1\n")}},
		{name: "bad labels", steps: []step{bad("m{l=x} 1\n"), bad("m{l=\"x\" 1\n"), bad("m{0=\"x\"} 1\n"), bad("m{l=\"a\",l=\"b\"} 1\n"), bad("m{l=\"\\x\"} 1\n")}},
		{name: "bad names", steps: []step{bad("0m 1\n"), bad("m-n 1\n")}},
		{name: "histogram", steps: []step{ok("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\nh_sum 3\nh_count 2\n"), ok("# TYPE h histogram\nh_count 2\n")}},
		{name: "histogram with bad bounds", steps: []step{bad("# TYPE h histogram\nh_bucket{le=\"x\"} 1\n")}},
		{name: "summary", steps: []step{ok("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.9\"} 2\ns_sum 3\ns_count 2\n"), ok("# TYPE s summary\ns_sum 3\ns_count 2\n")}},
		{name: "not UTF-8", steps: []step{bad("m{l=\"\xff\"} 1\n")}},
	}
}

func bodyScenarios() []scenario {
	family := &dto.MetricFamily{
		Name: new("m"), Help: new("help"), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(1)}}},
	}
	body := delimited(family)
	twice := delimited(family, &dto.MetricFamily{Name: new("m"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: proto.Float64(2)}}}})
	untyped := delimited(&dto.MetricFamily{Name: new("m"), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: proto.Float64(2)}}}})
	empty := delimited(&dto.MetricFamily{Name: new("m"), Type: dto.MetricType_GAUGE.Enum()})
	zip := []string{"Content-Encoding", "gzip"}
	return []scenario{
		{name: "protobuf", steps: []step{put("a", body).with("Content-Type", protobufType)}},
		{name: "protobuf, family twice", steps: []step{put("a", twice).with("Content-Type", protobufType)}},
		{name: "protobuf without type", steps: []step{put("a", untyped).with("Content-Type", protobufType)}},
		{name: "protobuf, empty family", steps: []step{put("a", empty).with("Content-Type", protobufType)}},
		{name: "protobuf, truncated", steps: []step{put("a", body[:len(body)-2]).with("Content-Type", protobufType)}},
		{name: "protobuf without its content type", steps: []step{
			put("a", body), put("a", body).with("Content-Type", "application/vnd.google.protobuf"),
			put("a", body).with("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text"),
		}},
		{name: "text with other content types", steps: []step{
			put("a", gauge1).with("Content-Type", "application/x-www-form-urlencoded"), put("a", gauge1).with("Content-Type", "text/plain; version=0.0.4"),
			put("a", gauge1).with("Content-Type", "nonsense"),
		}},
		{
			name:  "OpenMetrics without its end",
			steps: []step{put("b", gauge1).with("Content-Type", "application/openmetrics-text; version=1.0.0").but(400, 200, "pushbridge reads it as what it says")},
			views: "the push is accepted by one only",
		},
		{name: "gzip", steps: []step{put("a", zipped(gauge1)).with(zip...)}},
		{
			name:          "gzip in capitals",
			steps:         []step{put("a", zipped(gauge1)).with("Content-Encoding", "GZIP").formerly(400, "it compares the case")},
			viewsFormerly: "the push is accepted by one only",
		},
		{name: "bad gzip", steps: []step{put("a", gauge1).with(zip...), put("a", zipped(gauge1)[:20]).with(zip...), put("a", "").with(zip...)}},
		{name: "gzip on other paths", steps: []step{
			req("DELETE", "/metrics/job/a").with(zip...), req("GET", "/-/ready").with(zip...), req("GET", "/api/v1/status").with(zip...),
		}},
		{
			name:          "snappy",
			steps:         []step{put("a", framed(gauge1)).with("Content-Encoding", "snappy").formerly(400, "it does not know snappy")},
			viewsFormerly: "the push is accepted by one only",
		},
		{name: "unknown encoding", steps: []step{put("a", gauge1).with("Content-Encoding", "br"), put("a", gauge1).with("Content-Encoding", "identity")}},
	}
}

// uncheckedScenarios run with --push.disable-consistency-check.
func uncheckedScenarios() []scenario {
	return []scenario{
		{name: "put", steps: []step{put("a", gauge1), post("a", "n 1\n"), remove("b")}},
		{name: "timestamp", steps: []step{put("a", "m 1 123\n")}},
		{name: "malformed", steps: []step{put("a", "m one\n"), put("a/b", gauge1)}},
		{name: "type conflict", steps: []step{
			put("a", gauge1), put("b", "# TYPE m counter\nm 1\n"), req("GET", "/metrics"), req("GET", "/api/v1/metrics"),
		}, views: "/metrics is broken on purpose"},
		{name: "same series twice", steps: []step{
			put("a/x/y", gauge1), put("a", "# TYPE m gauge\nm{x=\"y\"} 2\n"), req("GET", "/metrics"), req("GET", "/-/healthy"),
		}, views: "/metrics is broken on purpose"},
		{name: "broken and mended", steps: []step{
			put("a", gauge1), put("b", "# TYPE m counter\nm 1\n"), remove("b"),
		}},
	}
}

// defaultScenarios run without any flag.
func defaultScenarios() []scenario {
	return []scenario{
		{name: "quit is off", steps: []step{req("PUT", "/-/quit"), req("POST", "/-/quit"), req("GET", "/-/quit"), req("OPTIONS", "/-/quit")}},
		{name: "admin API is off", steps: []step{req("PUT", "/api/v1/admin/wipe"), req("OPTIONS", "/api/v1/admin/wipe")}},
		{name: "views", steps: []step{
			req("GET", "/"), req("GET", "/status"), req("GET", "/-/healthy"), req("GET", "/-/ready"), req("GET", "/api/v1/status"),
			req("GET", "/api/v1/metrics"), req("GET", "/api/v1/nothing"), req("OPTIONS", "/api/v1/anything"), req("GET", "/nothing"),
			req("GET", "/debug/pprof/"), req("GET", "/debug/pprof/cmdline"), req("HEAD", "/api/v1/status"), req("HEAD", "/"),
		}},
	}
}

func prefixScenarios() []scenario {
	return []scenario{
		{name: "push", steps: []step{req("PUT", "/gate/metrics/job/a"), req("PUT", "/metrics/job/a"), req("GET", "/metrics"), req("GET", "/gate/metrics")}},
		{name: "rest", steps: []step{
			req("GET", "/"), req("GET", "/gate"), req("GET", "/gate/"), req("GET", "/gate/status"), req("GET", "/-/ready"), req("GET", "/gate/-/ready"),
			req("GET", "/-/quit"), req("GET", "/gate/-/quit"), req("PUT", "/gate/-/quit"), req("DELETE", "/gate/-/quit"), req("OPTIONS", "/gate/-/quit"),
			req("GET", "/gate/METRICS"), req("GET", "/GATE/metrics"), req("PUT", "/gate"), req("PUT", "/gate/-/quit/"), req("OPTIONS", "/-/quit"), req("PUT", "/-/quit"),
			req("GET", "/gate/api/v1/status"), req("GET", "/gate/debug/pprof/"),
		}},
	}
}

func telemetryScenarios() []scenario {
	return []scenario{
		{name: "other path", views: "/metrics is somewhere else", steps: []step{
			put("a", gauge1), req("GET", "/metrics"), req("GET", "/telemetry"), req("PUT", "/telemetry/job/a"),
		}},
	}
}

// delimited encodes families as clients send them.
func delimited(families ...*dto.MetricFamily) string {
	var b bytes.Buffer
	for _, f := range families {
		if _, err := protodelim.MarshalTo(&b, f); err != nil {
			panic("e2e: " + err.Error())
		}
	}
	return b.String()
}

func zipped(text string) string { return gzipped(text, len(text)) }

func framed(text string) string {
	var b bytes.Buffer
	w := snappy.NewBufferedWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		panic("e2e: " + err.Error())
	}
	if err := w.Close(); err != nil {
		panic("e2e: " + err.Error())
	}
	return b.String()
}
