package lane

import (
	"bytes"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// answer is what the handler writes to. It goes out in one piece when the handler
// returns.
type answer struct {
	c      *conn
	header http.Header
	status int // 0: not told
	text   []byte
	out    bytes.Buffer
}

// maxKept is the largest answer, in bytes, whose memory is kept for the next.
const maxKept = 4 << 10

func (a *answer) reset() {
	clear(a.header)
	a.status, a.text = 0, a.text[:0]
	if cap(a.text) > maxKept {
		a.text = nil
	}
	a.out.Reset()
	if a.out.Cap() > maxKept {
		a.out = bytes.Buffer{}
	}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter. There are no answers before the answer.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if !hasBody(a.status) {
		return 0, http.ErrBodyNotAllowed
	}
	a.text = append(a.text, b...)
	return len(b), nil
}

// SetReadDeadline is for http.ResponseController. It costs nothing unless something must
// be waited for.
func (a *answer) SetReadDeadline(t time.Time) error {
	a.c.wanted = t
	return nil
}

// KeepsBody tells handlers that they may give the request another body: the lane goes by its own.
func (a *answer) KeepsBody() {}

// last says whether the handler wants the connection to end.
func (a *answer) last() bool { return a.header.Get("Connection") == "close" }

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// send writes the answer.
func (a *answer) send(last bool) error {
	a.WriteHeader(http.StatusOK)
	a.statusLine()
	a.fields(last)
	a.out.WriteString("\r\n")
	a.out.Write(a.text)
	_, err := a.c.Write(a.out.Bytes())
	return err
}

// fields writes those that net/http adds, and those of the handler.
func (a *answer) fields(last bool) {
	h := a.header
	if hasBody(a.status) {
		_, typed := h["Content-Type"]
		if len(a.text) > 0 && !typed && h.Get("Content-Encoding") == "" {
			a.field("Content-Type", http.DetectContentType(a.text))
		}
		delete(h, "Content-Length")
		a.field("Content-Length", strconv.Itoa(len(a.text)))
	}
	if _, dated := h["Date"]; !dated {
		a.field("Date", dateNow())
	}
	if last {
		delete(h, "Connection")
		a.field("Connection", "close")
	}
	_ = h.Write(&a.out) // a buffer takes everything
}

func (a *answer) field(name, value string) {
	a.out.WriteString(name)
	a.out.WriteString(": ")
	a.out.WriteString(value)
	a.out.WriteString("\r\n")
}

func (a *answer) statusLine() {
	if a.status == http.StatusOK {
		a.out.WriteString("HTTP/1.1 200 OK\r\n")
		return
	}
	text := http.StatusText(a.status)
	if text == "" {
		text = "status code " + strconv.Itoa(a.status)
	}
	a.out.WriteString("HTTP/1.1 " + strconv.Itoa(a.status) + " " + text + "\r\n")
}

// date is the value of a Date header, of one second.
type date struct {
	second int64
	text   string
}

var today atomic.Pointer[date]

// dateNow returns the Date of now.
func dateNow() string {
	now := time.Now()
	if d := today.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{second: now.Unix(), text: now.UTC().Format(http.TimeFormat)}
	today.Store(d)
	return d.text
}
