package queue

import "sync"

// nag remembers which problems were logged: what is tried every second is logged
// when it starts to fail, and again only after it has worked.
type nag struct {
	mu     sync.Mutex
	failed map[string]bool
}

// starts notes the outcome of what, and reports whether it fails for the first
// time.
func (n *nag) starts(what string, err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.failed[what]
	if n.failed == nil {
		n.failed = map[string]bool{}
	}
	n.failed[what] = err != nil
	return err != nil && !was
}
