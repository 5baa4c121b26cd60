package group

// prepared is what takes long to make of a large record.
type prepared struct {
	body          []byte // see appendBody; nil once it is written
	samples, size int
}

// Prepare makes beforehand what is asked of r while everybody waits for it: its bytes,
// Samples and Size. Nothing of r may change afterwards but its times and Generation; if
// something does, it is prepared again.
func (r *Record) Prepare() {
	r.prepared = nil
	r.prepared = &prepared{body: appendBody(nil, r), samples: r.Samples(), size: r.Size()}
}

// Written lets go of the bytes that Prepare made. EncodeRecord must not go on meanwhile.
func (r *Record) Written() {
	if r.prepared != nil {
		r.prepared.body = nil
	}
}
