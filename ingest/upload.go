package ingest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// DefaultReadTimeout is the patience of Uploads with a body that stands still.
const DefaultReadTimeout = 5 * time.Minute

const (
	// Bytes a second that a body must bring on the whole. There is no bound on the
	// time of a body that does: a slow line is no fault.
	slowestUpload = 500
	// What net/http itself reads of a body that nobody has read, before it answers.
	readByServer = 256 << 10
	// What is read of the rest of a body after the answer, for those who do not
	// listen before they have sent everything.
	mostRest     = DefaultMaxBodyBytes
	restPatience = time.Minute
)

// Uploads bounds how long the bodies that next reads may take: each may stand
// still for patience, and a second longer for every slowestUpload bytes that it
// has brought. It sees to it that an answer given before the whole body was read
// is heard: at once by a client that listens or waits for 100 Continue, and by any
// other when it has sent the rest, which is read and thrown away within bounds.
// It belongs around everything else.
func Uploads(patience time.Duration, next http.Handler) http.Handler {
	if patience == 0 {
		patience = DefaultReadTimeout
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		a := &answerer{ResponseWriter: w, upload: upload{
			ReadCloser: r.Body, conn: *http.NewResponseController(w), over1: r.ProtoMajor == 1,
			length: r.ContentLength, asks: r.Header.Get("Expect") != "", began: time.Now(), patience: patience,
		}}
		if _, ok := w.(bodyKeeper); !ok {
			r = r.WithContext(r.Context()) // the server goes by what its own copy says of the body
		}
		r.Body = &a.upload
		next.ServeHTTP(a, r)
		a.finish()
	})
}

// bodyKeeper is a ResponseWriter of a server that does not ask the request for its body once the
// handler has it.
type bodyKeeper interface{ KeepsBody() }

// upload is a request's body on its way.
type upload struct {
	io.ReadCloser
	conn     http.ResponseController
	over1    bool  // HTTP/1: what is not read stands in the way of the next request
	length   int64 // -1: unknown
	asks     bool  // the client waits for 100 Continue, which the first Read sends
	began    time.Time
	patience time.Duration

	n      int64 // bytes read
	ended  bool
	broken bool // the connection is of no further use
}

// Read implements io.Reader within the time that the body has left.
func (u *upload) Read(p []byte) (int, error) {
	u.asks = false
	_ = u.conn.SetReadDeadline(u.began.Add(u.patience + time.Duration(u.n)*time.Second/slowestUpload)) // as in allow
	n, err := u.ReadCloser.Read(p)
	u.n += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		u.ended = true
		_ = u.conn.SetReadDeadline(time.Time{}) // or the server would take the client for gone
	default:
		u.broken = true
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = &SlowError{Bytes: u.n, After: time.Since(u.began)}
		}
	}
	return n, err
}

// allow gives the client some time from now on. Not every ResponseWriter can.
func (u *upload) allow(d time.Duration) { _ = u.conn.SetReadDeadline(time.Now().Add(d)) }

// beforeAnswer prepares for what of the body is unread when the headers go out,
// and reports whether the connection ends with the answer. A short rest the server
// reads first, and keeps the connection.
func (u *upload) beforeAnswer(h http.Header) (last bool) {
	if u.ended || !u.over1 {
		return false
	}
	if !u.broken { // or the server would wait once more for the rest of what stood still
		u.allow(restPatience)
	}
	if u.broken || u.asks || u.length < 0 || u.length-u.n > readByServer {
		h.Set("Connection", "close")
		_ = u.conn.EnableFullDuplex() // the answer does not wait for the body
		return true
	}
	return false
}

// rest reads what is left, once the answer is on its way. Whatever ends it, the
// connection ends too.
func (u *upload) rest() {
	if u.asks {
		u.allow(time.Second) // there will be none: reading would ask for it
		return
	}
	_, _ = io.CopyN(io.Discard, u.ReadCloser, mostRest)
}

// answerer tells its upload before the headers go out. It holds a refusal that
// ends the connection until it is whole: a client that is still sending must not
// wait for the end of the answer while we wait for that of the body.
type answerer struct {
	http.ResponseWriter
	upload upload
	told   bool
	held   int // status of the refusal that is held; 0: none
	text   bytes.Buffer
}

func (a *answerer) WriteHeader(status int) {
	if a.told {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.told = true
	if a.upload.beforeAnswer(a.Header()) && status >= http.StatusMultipleChoices {
		a.held = status
		return
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerer) Write(b []byte) (int, error) {
	if !a.told {
		a.WriteHeader(http.StatusOK)
	}
	if a.held > 0 {
		return a.text.Write(b)
	}
	return a.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (a *answerer) Flush() {
	if !a.told {
		a.WriteHeader(http.StatusOK)
	}
	if a.held == 0 {
		_ = http.NewResponseController(a.ResponseWriter).Flush() // the client has gone, and that is all
	}
}

// Unwrap lets http.ResponseController find what a wraps.
func (a *answerer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// finish sends what is held, and reads the rest of the body.
func (a *answerer) finish() {
	if !a.told {
		a.WriteHeader(http.StatusOK)
	}
	if a.held == 0 {
		return
	}
	a.Header().Set("Content-Length", strconv.Itoa(a.text.Len()))
	a.ResponseWriter.WriteHeader(a.held)
	a.held = 0
	_, _ = a.ResponseWriter.Write(a.text.Bytes()) // as in Flush
	a.Flush()
	if !a.upload.broken {
		a.upload.rest()
	}
}
