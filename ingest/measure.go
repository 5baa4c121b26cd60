package ingest

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// measured counts and times the requests of the push handler, as promhttp would:
// but that looks each figure up by labels that it makes anew, twice for each push.
type measured struct {
	next      http.HandlerFunc
	put, post *figures
}

// figures are those of one method. They appear when there is something to show.
type figures struct {
	size, duration func() prometheus.Observer
	code           func(status int) prometheus.Counter
	codes          sync.Map // of a status: its prometheus.Counter
}

// push measures the requests of the push handler, which are PUT and POST.
func (m *metrics) push(h http.HandlerFunc) http.Handler {
	return &measured{next: h, put: m.figuresOf("put"), post: m.figuresOf("post")}
}

func (m *metrics) figuresOf(method string) *figures {
	observer := func(v *prometheus.SummaryVec) func() prometheus.Observer {
		return sync.OnceValue(func() prometheus.Observer { return v.WithLabelValues(method) })
	}
	return &figures{
		size: observer(m.size), duration: observer(m.duration),
		code: func(status int) prometheus.Counter {
			return m.requests.WithLabelValues("push", strconv.Itoa(status), method)
		},
	}
}

// ServeHTTP implements http.Handler.
func (m *measured) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := m.post
	if r.Method == http.MethodPut {
		f = m.put
	}
	size, began := requestSize(r), time.Now()
	s := statusWriter{ResponseWriter: w, status: http.StatusOK}
	m.next(&s, r)
	f.answered(s.status).Inc()
	f.duration().Observe(time.Since(began).Seconds())
	f.size().Observe(float64(size))
}

func (f *figures) answered(status int) prometheus.Counter {
	if c, ok := f.codes.Load(status); ok {
		return c.(prometheus.Counter)
	}
	c := f.code(status)
	f.codes.Store(status, c)
	return c
}

// requestSize is about what a request has on the wire.
func requestSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(r.Host)
	for name, values := range r.Header {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n + int(max(r.ContentLength, 0))
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	told   bool
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if !w.told && status >= http.StatusOK { // others come before the answer
		w.status, w.told = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(b []byte) (int, error) {
	w.told = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what w wraps.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
