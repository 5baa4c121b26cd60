package tee

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/pushbridge/pushbridge/client"
)

// overhead is what a copy takes beside its body, roughly.
const overhead = 1024

// headers say what a body is.
var headers = []string{"Content-Type", "Content-Encoding", "User-Agent", client.IDHeader}

// request is what r asks for, but for the body.
func (t *Tee) request(r *http.Request) client.Request {
	h := http.Header{}
	for _, name := range headers {
		if value := r.Header.Get(name); value != "" {
			h.Set(name, value)
		}
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), t.o.Prefix)
	query := r.URL.Query()
	query.Del("wait") // nobody waits for a copy
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return client.Request{Method: r.Method, Path: path, Header: h}
}

// reading keeps the bytes that are read of a body, as they came.
type reading struct {
	io.ReadCloser
	tee  *Tee
	into *pushed
	base int64 // what it counts without a body
}

func (b *reading) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.keep(p[:n])
	return n, err
}

func (b *reading) keep(p []byte) {
	if b.into.lost || len(p) == 0 {
		return
	}
	body := append(b.into.request.Body, p...)
	if !b.into.grow(b.tee, b.base+int64(cap(body))) {
		b.into.lost, b.into.request.Body = true, nil
		return
	}
	b.into.request.Body = body
}

// finish reads what the handler has left: a push that is known by its name is accepted
// without a look at its body.
func (b *reading) finish() {
	for rest := make([]byte, 4096); !b.into.lost; {
		switch _, err := b.Read(rest); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			b.into.cut = true
			return
		}
	}
}

// answer notes the status.
type answer struct {
	http.ResponseWriter
	status int
	wrote  bool
	done   bool // the handler has returned
}

// accepted reports whether the handler has returned and taken the push.
func (a *answer) accepted() bool { return a.done && a.status/100 == 2 }

func (a *answer) WriteHeader(status int) {
	if !a.wrote && status >= 200 {
		a.status, a.wrote = status, true
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.wrote = true
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
