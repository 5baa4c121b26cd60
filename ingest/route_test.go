package ingest

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoutes(t *testing.T) {
	const pushAllow, wipeAllow = "DELETE, OPTIONS, POST, PUT", "OPTIONS, PUT"
	type answer struct {
		Status   int
		Location string
		Allow    string
	}
	for _, tc := range []struct {
		name   string
		method string
		path   string
		want   answer
	}{
		{"GET of a group", "GET", "/metrics/job/a", answer{405, "", pushAllow}},
		{"HEAD of a group", "HEAD", "/metrics/job/a/x/y", answer{405, "", pushAllow}},
		{"PATCH of a group", "PATCH", "/metrics/job@base64/YQ", answer{405, "", pushAllow}},
		{"OPTIONS of a group", "OPTIONS", "/metrics/job/a/x/y", answer{200, "", pushAllow}},
		{"GET does not look at the labels", "GET", "/metrics/job/a/x", answer{405, "", pushAllow}},

		{"double slash", "PUT", "/metrics//job/a", answer{307, "/metrics/job/a", ""}},
		{"double slash in the labels", "POST", "/metrics/job/a//x", answer{307, "/metrics/job/a/x", ""}},
		{"dot", "PUT", "/metrics/job/a/./x/y", answer{307, "/metrics/job/a/x/y", ""}},
		{"dot dot", "DELETE", "/metrics/job/../b", answer{307, "/metrics/b", ""}},
		{"clean path keeps the query", "PUT", "/metrics//job/a?x=y", answer{307, "/metrics/job/a?x=y", ""}},
		{"clean path keeps the escapes", "PUT", "/metrics//job/a%20b/x/%25", answer{307, "/metrics/job/a%20b/x/%25", ""}},
		{"clean path keeps the trailing slash", "PUT", "/metrics/job//a/x//", answer{307, "/metrics/job/a/x/", ""}},
		{"GET of an unclean path", "GET", "/metrics//job/a", answer{307, "/metrics/job/a", ""}},

		{"wrong case of metrics", "PUT", "/METRICS/job/a", answer{307, "/metrics/job/a", ""}},
		{"wrong case of job", "POST", "/metrics/JOB/a", answer{307, "/metrics/job/a", ""}},
		{"wrong case keeps the case of values", "DELETE", "/METRICS/JOB/A%20b/X/C", answer{307, "/metrics/job/A%20b/X/C", ""}},
		{"wrong case of base64", "PUT", "/metrics/job@BASE64/YQ", answer{307, "/metrics/job@base64/YQ", ""}},
		{"wrong case keeps the query", "PUT", "/Metrics/job/a?x=y", answer{307, "/metrics/job/a?x=y", ""}},
		{"wrong case has no route for GET", "GET", "/METRICS/job/a", answer{404, "", ""}},
		{"wrong case has no route for OPTIONS", "OPTIONS", "/METRICS/job/a", answer{404, "", ""}},
		{"escaped empty component before job", "PUT", "/metrics/%2Fjob/a", answer{307, "/metrics/job/a", ""}},

		{"no job but a slash", "PUT", "/metrics/job/", answer{307, "/metrics/job", ""}},
		{"no job but a slash, GET", "GET", "/metrics/job/", answer{404, "", ""}},
		{"no job", "PUT", "/metrics/job", answer{404, "", ""}},
		{"no job, wrong case", "PUT", "/metrics/JOB/", answer{404, "", ""}},
		{"no base64 job but a slash", "PUT", "/metrics/job@base64/", answer{404, "", ""}},
		{"no base64 job", "DELETE", "/metrics/job@base64", answer{404, "", ""}},
		{"longer word than job", "PUT", "/metrics/jobs/a", answer{404, "", ""}},
		{"only an escaped slash for a job", "PUT", "/metrics/job/%2F", answer{400, "", ""}},

		{"GET of the wipe", "GET", "/api/v1/admin/wipe", answer{405, "", wipeAllow}},
		{"POST of the wipe", "POST", "/api/v1/admin/wipe", answer{405, "", wipeAllow}},
		{"OPTIONS of the wipe", "OPTIONS", "/api/v1/admin/wipe", answer{200, "", ""}},
		{"PUT of the wipe", "PUT", "/api/v1/admin/wipe", answer{202, "", ""}},
		{"PUT of the wipe with a slash", "PUT", "/api/v1/admin/wipe/", answer{307, "/api/v1/admin/wipe", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, prefix := range []string{"", "/pre/fix"} {
				g := newRig(t, Options{Prefix: prefix, AdminAPI: true})
				w := g.do(tc.method, prefix+tc.path, "")
				want := tc.want
				if want.Location != "" {
					want.Location = prefix + want.Location
				}
				got := answer{w.Code, w.Header().Get("Location"), w.Header().Get("Allow")}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %s (-want +got):\n%s", tc.method, prefix+tc.path, diff)
				}
				if got := g.keys(); len(got) > 0 {
					t.Errorf("%s %s made groups: %v", tc.method, prefix+tc.path, got)
				}
			}
		})
	}
}

func TestOwns(t *testing.T) {
	g := newRig(t, Options{Prefix: "/x"})
	for path, want := range map[string]bool{
		"/x/metrics/job/a":        true,
		"/x/METRICS/JOB":          true,
		"/x//metrics/job@base64/": true,
		"/x/metrics/job/..":       true,
		"/x/api/v1/admin/wipe":    true,
		"/x/api/v1/admin/wipe/":   true,
		"/x/metrics":              false,
		"/x/metrics/":             false,
		"/metrics/job/a":          false,
		"/x/api/v1/metrics":       false,
	} {
		if got := g.Owns(path); got != want {
			t.Errorf("Owns(%q) = %v", path, got)
		}
	}
	if w := g.do(http.MethodGet, "/elsewhere", ""); w.Code != http.StatusNotFound {
		t.Errorf("a path of others: %d", w.Code)
	}
}
