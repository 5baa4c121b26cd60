package receiver

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// handler answers the paths of the usual backends, the views, and the control.
func (rc *Receiver) handler() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/api/v1/write", "/api/v1/push", "/api/v1/receive", "/receive"} {
		mux.HandleFunc("POST "+path, rc.serveWrite)
	}
	mux.HandleFunc("GET /api/v1/samples", func(w http.ResponseWriter, r *http.Request) {
		rc.writeJSON(w, rc.store.Samples(r.URL.Query()))
	})
	mux.HandleFunc("GET /api/v1/series", func(w http.ResponseWriter, r *http.Request) {
		rc.writeJSON(w, rc.store.Series(r.URL.Query()))
	})
	mux.HandleFunc("GET /api/v1/stats", func(w http.ResponseWriter, _ *http.Request) {
		rc.writeJSON(w, rc.store.Stats())
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) { rc.writeText(w, "OK\n") })
	mux.HandleFunc("GET /control", rc.serveFaults)
	mux.HandleFunc("PUT /control", rc.serveControl)
	return mux
}

// serveWrite plays the faults around one request. The body is read before
// anything else: the server sees only then that a client gives up, and keeps
// only then the connection of one that is refused.
func (rc *Receiver) serveWrite(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r.Body)
	if err != nil {
		rc.serveError(w, r, err)
		return
	}
	p := rc.faults.Plan()
	if !waitWith(r, p.delay) {
		return
	}
	if p.fail != nil && !p.fail.Store {
		rc.serveFail(w, p.fail)
		return
	}
	m, err := rc.take(r.Header, body, &p)
	if err != nil {
		rc.serveError(w, r, err)
		return
	}
	rc.serveTaken(w, m, p)
}

// serveTaken answers a request whose samples are stored.
func (rc *Receiver) serveTaken(w http.ResponseWriter, m *message, p plan) {
	switch {
	case p.fail != nil:
		count := m.count()
		setWritten(w.Header(), m.Protocol, &count)
		rc.serveFail(w, p.fail)
	case p.refused != nil:
		rc.store.Count(func(s *stats) { s.Refused++ })
		setWritten(w.Header(), m.Protocol, p.refused.written)
		w.WriteHeader(p.refused.status)
		rc.writeText(w, p.refused.body)
	case p.drop:
		rc.store.Count(func(s *stats) { s.DroppedAnswers++ })
		panic(http.ErrAbortHandler) // the server's own way to close without an answer
	default:
		count := m.count()
		setWritten(w.Header(), m.Protocol, &count)
		w.WriteHeader(http.StatusNoContent)
	}
}

// waitWith reports whether the client is still there after d.
func waitWith(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// take decodes and stores a request, without what the plan refuses.
func (rc *Receiver) take(h http.Header, body []byte, p *plan) (*message, error) {
	protocol, err := protocolOf(h)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(rc.protocols, protocol) {
		return nil, refuseWith(http.StatusUnsupportedMediaType, "remote write %d.0 is switched off", protocol)
	}
	m, err := decodeMessage(body, protocol)
	if err != nil {
		return nil, err
	}
	m.Faults = append(m.Faults, headerFaults(h, protocol)...)
	rc.store.Count(func(s *stats) { s.Requests++ })
	if p.refuse != nil {
		p.refused = p.refuse.sift(m, rc.store)
	}
	return m, rc.store.Add(m)
}

func (rc *Receiver) serveFail(w http.ResponseWriter, f *failFault) {
	rc.store.Count(func(s *stats) { s.Failed++ })
	for name, v := range f.Headers {
		w.Header().Set(name, v)
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	w.WriteHeader(f.Status)
	rc.writeText(w, f.Body)
}

func (rc *Receiver) serveError(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if re, ok := errors.AsType[*refusal](err); ok {
		status = re.Status
		rc.store.Count(func(s *stats) { s.Refused++ })
	}
	rc.logger.Warn("request refused", "remote", r.RemoteAddr, "status", status, "err", err)
	http.Error(w, err.Error(), status)
}

func (rc *Receiver) serveFaults(w http.ResponseWriter, _ *http.Request) {
	rc.writeJSON(w, rc.faults)
}

func (rc *Receiver) serveControl(w http.ResponseWriter, r *http.Request) {
	c, err := ParseControl(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rc.faults.Set(c)
	rc.serveFaults(w, r)
}

func (rc *Receiver) writeJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	rc.writeText(w, string(b)+"\n")
}

// writeText sends s. An error means that the client has gone.
func (rc *Receiver) writeText(w http.ResponseWriter, s string) {
	_, _ = io.WriteString(w, s)
}
