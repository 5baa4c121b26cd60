package receiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Control is the document that PUT /control takes: the faults that the
// receiver plays. An empty one ends all of them.
type Control struct {
	// Seed makes the shares repeatable. 0 goes on with the present sequence.
	Seed uint64 `json:"seed,omitempty"`

	Fail *failFault `json:"fail,omitempty"`
	Drop *dropFault `json:"drop_answers,omitempty"`
	Slow *slowFault `json:"slow,omitempty"`

	Refuse *refuseFault `json:"refuse,omitempty"`
}

// when says which requests a fault meets. Without either field: all.
type when struct {
	Requests int     `json:"requests,omitempty"` // ends after so many
	Share    float64 `json:"share,omitempty"`    // meets this part of them by chance, 0 < share <= 1
	Hits     int     `json:"hits,omitempty"`     // how many it has met; shown, not set
}

// failFault answers a status of its own instead of taking the samples.
type failFault struct {
	when
	Status     int               `json:"status"`
	RetryAfter string            `json:"retry_after,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body,omitempty"`
	Store      bool              `json:"store,omitempty"` // takes the samples all the same
}

// dropFault takes the samples and closes the connection without an answer.
type dropFault struct{ when }

// slowFault waits before it looks at a request.
type slowFault struct {
	when
	Delay string `json:"delay"` // as time.ParseDuration takes it

	delay time.Duration
}

// ParseControl reads a control document. A field that does not exist is an
// error: a mistyped fault would otherwise just not happen.
func ParseControl(r io.Reader) (Control, error) {
	var c Control
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("control document: %w", err)
	}
	return c, c.validate()
}

func (c *Control) validate() error {
	var errs []error
	if c.Fail != nil {
		if c.Fail.Status < 200 || c.Fail.Status > 599 {
			errs = append(errs, fmt.Errorf("fail.status is %d, want 200 to 599", c.Fail.Status))
		}
		errs = append(errs, c.Fail.validate("fail"))
	}
	if c.Drop != nil {
		errs = append(errs, c.Drop.validate("drop_answers"))
	}
	if c.Slow != nil {
		var err error
		if c.Slow.delay, err = time.ParseDuration(c.Slow.Delay); err != nil || c.Slow.delay <= 0 {
			errs = append(errs, fmt.Errorf("slow.delay is %q, want a duration such as 10s", c.Slow.Delay))
		}
		errs = append(errs, c.Slow.validate("slow"))
	}
	if c.Refuse != nil {
		errs = append(errs, c.Refuse.validate())
	}
	return errors.Join(errs...)
}

func (w *when) validate(name string) error {
	switch {
	case w.Requests < 0:
		return fmt.Errorf("%s.requests is negative", name)
	case w.Share < 0 || w.Share > 1:
		return fmt.Errorf("%s.share is %v, want 0 to 1", name, w.Share)
	case w.Hits != 0:
		return fmt.Errorf("%s.hits cannot be set", name)
	}
	return nil
}

// faults plays the faults of the current control document.
type faults struct {
	mu  sync.Mutex // guards what follows
	now Control
	rnd *rand.Rand
}

func newFaults() *faults {
	return &faults{rnd: rand.New(rand.NewPCG(1, 0))}
}

// Set replaces the document.
func (f *faults) Set(c Control) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Seed != 0 {
		f.rnd = rand.New(rand.NewPCG(c.Seed, 0))
	}
	f.now = c
}

// plan is what happens to one request.
type plan struct {
	delay time.Duration
	fail  *failFault // nil when it is served
	drop  bool

	refuse  *refuseFault // nil for none
	refused *answer      // what came of it; nil when nothing was refused
}

// Plan decides on the next request.
func (f *faults) Plan() plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	var p plan
	if s := f.now.Slow; s != nil && s.meets(f.rnd) {
		p.delay = s.delay
	}
	if x := f.now.Fail; x != nil && x.meets(f.rnd) {
		fail := *x
		p.fail = &fail
		return p
	}
	if x := f.now.Refuse; x != nil && x.meets(f.rnd) {
		refuse := *x
		p.refuse = &refuse
	}
	p.drop = f.now.Drop != nil && f.now.Drop.meets(f.rnd)
	return p
}

// meets tells whether the fault meets a request, and counts it.
func (w *when) meets(rnd *rand.Rand) bool {
	if w.Requests > 0 && w.Hits >= w.Requests {
		return false
	}
	if w.Share > 0 && rnd.Float64() >= w.Share {
		return false
	}
	w.Hits++
	return true
}

// MarshalJSON shows the document with its hits.
func (f *faults) MarshalJSON() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return json.Marshal(f.now)
}
