package replica

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"

	"github.com/pushbridge/pushbridge/gateway"
)

// answer is one to a request.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer

	lost bool // there is none, and the request may have been carried out
}

// refusal is the answer to a push that was not carried out here.
func refusal(err error) *answer {
	a := &answer{status: http.StatusServiceUnavailable, header: http.Header{}}
	a.header.Set("Content-Type", "text/plain; charset=utf-8")
	a.header.Set("X-Content-Type-Options", "nosniff")
	a.header.Set("Retry-After", "5")
	a.body.WriteString(err.Error() + "\n")
	return a
}

// recordAnswer is what h answers to r.
func recordAnswer(h http.Handler, r *http.Request) *answer {
	a := &answer{header: http.Header{}}
	h.ServeHTTP(recorder{a}, r)
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a
}

// recorder is a ResponseWriter that keeps an answer.
type recorder struct{ a *answer }

func (w recorder) Header() http.Header { return w.a.header }

func (w recorder) WriteHeader(status int) {
	if w.a.status == 0 {
		w.a.status = status
	}
}

func (w recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.a.body.Write(b)
}

// telling is a ResponseWriter for another replica: an answer goes out with what that one has to
// know beside it.
type telling struct {
	w    http.ResponseWriter
	log  *gateway.Log
	told bool
}

// Header implements http.ResponseWriter.
func (t *telling) Header() http.Header { return t.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (t *telling) WriteHeader(status int) {
	if t.told || status < http.StatusOK {
		return
	}
	t.told = true
	if status == http.StatusServiceUnavailable && !t.log.Leads() {
		t.w.Header().Set(elsewhereHeader, unknown)
	}
	t.w.Header().Set(headHeader, strconv.FormatUint(t.log.Head(), 10))
	t.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (t *telling) Write(b []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	return t.w.Write(b)
}

// What comes of asking the replica that leads.
const (
	outcomeAnswered    = "answered"
	outcomeElsewhere   = "elsewhere"   // it does not lead any more, and has done nothing
	outcomeUnreachable = "unreachable" // it was not asked
	outcomeLost        = "lost"        // nobody knows what became of the request
)

var outcomes = []string{outcomeAnswered, outcomeElsewhere, outcomeUnreachable, outcomeLost}

// outcome says what a is, nil for no answer to a request that was sent, or was not.
func (a *answer) outcome(sent bool) string {
	switch {
	case a == nil && !sent:
		return outcomeUnreachable
	case a == nil || a.header.Get(elsewhereHeader) == unknown:
		return outcomeLost
	case a.header.Get(elsewhereHeader) != "":
		return outcomeElsewhere
	}
	return outcomeAnswered
}

// between are headers of an answer that are about the way that it came.
var between = []string{"Connection", "Content-Length", "Date", "Keep-Alive", "Transfer-Encoding"}

// write gives the answer to the client.
func (a *answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // the client has gone, and that is all
}
