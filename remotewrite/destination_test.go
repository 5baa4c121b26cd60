package remotewrite

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
)

// configFor is the configuration of a destination with nothing but a url.
func configFor(t testing.TB, raw string) Config {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return DefaultConfig(&promconfig.URL{URL: u})
}

func noProblems(t testing.TB, r *receiver) {
	t.Helper()
	for _, p := range r.wrong() {
		t.Error("receiver:", p)
	}
}

func TestDestinationDelivers(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2, Negotiate} {
		t.Run(string(m), func(t *testing.T) {
			r := &receiver{}
			srv := httptest.NewServer(r)
			defer srv.Close()
			c := configFor(t, srv.URL)
			c.ProtobufMessage = m
			g := newRig(t, rigOptions{dir: t.TempDir()})
			d := g.destination(c, Options{})
			g.start()
			stop := running(t, d)
			settled(t, d)
			g.put("# TYPE a counter\na{x=\"1\"} 3\n", "job", "j")
			g.put("# TYPE b gauge\nb 4\n", "job", "j")
			g.delete("job", "j")
			b := settled(t, d)
			stop()
			noProblems(t, r)
			want := []string{`a{job=j,x=1} 3`, `b{job=j} 4`, `a{job=j,x=1} stale`, `b{job=j} stale`}
			if diff := cmp.Diff(want, r.got()); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if b.Accepted != 10 || b.Delivered != 10 {
				t.Errorf("books: %+v", b)
			}
		})
	}
}
