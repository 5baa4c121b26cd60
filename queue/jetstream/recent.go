package jetstream

import "slices"

const (
	recentBytes = 4 * mib // of the newest messages that are kept
	aroundBytes = 256     // what stands beside the data of each: headers of the server, mostly
)

// recent are the newest messages, one behind the other. A server sends each of them to
// every replica unasked; who follows would otherwise ask for it once more.
type recent struct {
	messages []message
	bytes    int
}

// add keeps m, and lets go of the oldest that do not fit any more.
func (r *recent) add(m message) {
	if n := len(r.messages); n > 0 && r.messages[n-1].seq+1 != m.seq {
		*r = recent{}
	}
	r.messages = append(r.messages, m)
	r.bytes += len(m.data) + aroundBytes
	for r.bytes > recentBytes {
		r.bytes -= len(r.messages[0].data) + aroundBytes
		r.messages[0] = message{}
		r.messages = r.messages[1:]
	}
}

// from returns the messages from seq on, or none where that is not there.
func (r *recent) from(seq uint64) []message {
	if len(r.messages) == 0 || seq < r.messages[0].seq {
		return nil
	}
	at := min(seq-r.messages[0].seq, uint64(len(r.messages)))
	return slices.Clone(r.messages[at:])
}

// recentFrom returns messages from seq on that were folded in a moment ago, but none that
// the log has removed.
func (v *view) recentFrom(seq uint64) []message {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if len(v.parts) == 0 || seq < v.parts[0].start {
		return nil
	}
	return v.recent.from(seq)
}
