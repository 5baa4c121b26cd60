package ingest

import (
	"net/http"

	"github.com/pushbridge/pushbridge/group"
)

// Keep reads a body as it was sent, within the bounds on pushes, for somebody who may have to
// send it more than once. release gives its memory back, for another push where nobody can be
// using it any more. An error is one to Refuse with.
func (h *Handler) Keep(w http.ResponseWriter, r *http.Request) (kept []byte, release func(unused bool), err error) {
	l := &lease{b: h.bodies.budget}
	var buf *[]byte
	release = func(unused bool) {
		if unused && buf != nil {
			recycle(buf)
		}
		l.close()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, release, nil
	}
	raw := http.MaxBytesReader(w, r.Body, h.limits.MaxBodyBytes)
	sent := r.WithContext(r.Context())
	sent.Body = &body{Reader: raw, raw: raw, left: h.limits.MaxBodyBytes, limits: &h.limits}
	buf, err = readBody(sent, h.limits, l)
	if buf == nil {
		return nil, release, err
	}
	return *buf, release, err
}

// Key returns the grouping key of the record that a push makes, nil when it makes none.
func (h *Handler) Key(r *http.Request) group.Labels {
	c, err := h.change(r)
	if err != nil {
		return nil
	}
	return c.Labels
}

// Refuse answers err, which must be one of this package's, and notes it.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, err error) { h.refuse(w, r, nil, err) }
