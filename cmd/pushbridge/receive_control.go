package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// receiveControl is the document that PUT /control takes: the faults that the
// receiver plays. An empty one ends all of them.
type receiveControl struct {
	// Seed makes the shares repeatable. 0 goes on with the present sequence.
	Seed uint64 `json:"seed,omitempty"`

	Fail *receiveFail `json:"fail,omitempty"`
	Drop *receiveDrop `json:"drop_answers,omitempty"`
	Slow *receiveSlow `json:"slow,omitempty"`
}

// receiveWhen says which requests a fault meets. Without either field: all.
type receiveWhen struct {
	Requests int     `json:"requests,omitempty"` // ends after so many
	Share    float64 `json:"share,omitempty"`    // meets this part of them by chance, 0 < share <= 1
	Hits     int     `json:"hits,omitempty"`     // how many it has met; shown, not set
}

// receiveFail answers a status of its own instead of taking the samples.
type receiveFail struct {
	receiveWhen
	Status     int               `json:"status"`
	RetryAfter string            `json:"retry_after,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body,omitempty"`
	Store      bool              `json:"store,omitempty"` // takes the samples all the same
}

// receiveDrop takes the samples and closes the connection without an answer.
type receiveDrop struct{ receiveWhen }

// receiveSlow waits before it looks at a request.
type receiveSlow struct {
	receiveWhen
	Delay string `json:"delay"` // as time.ParseDuration takes it

	delay time.Duration
}

// parseControl reads a control document. A field that does not exist is an
// error: a mistyped fault would otherwise just not happen.
func parseControl(r io.Reader) (receiveControl, error) {
	var c receiveControl
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("control document: %w", err)
	}
	return c, c.validate()
}

func (c *receiveControl) validate() error {
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
	return errors.Join(errs...)
}

func (w *receiveWhen) validate(name string) error {
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

// receiveFaults plays the faults of the current control document.
type receiveFaults struct {
	mu  sync.Mutex // guards what follows
	now receiveControl
	rnd *rand.Rand
}

func newReceiveFaults() *receiveFaults {
	return &receiveFaults{rnd: rand.New(rand.NewPCG(1, 0))}
}

// Set replaces the document.
func (f *receiveFaults) Set(c receiveControl) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Seed != 0 {
		f.rnd = rand.New(rand.NewPCG(c.Seed, 0))
	}
	f.now = c
}

// receivePlan is what happens to one request.
type receivePlan struct {
	delay time.Duration
	fail  *receiveFail // nil when it is served
	drop  bool
}

// Plan decides on the next request.
func (f *receiveFaults) Plan() receivePlan {
	f.mu.Lock()
	defer f.mu.Unlock()
	var p receivePlan
	if s := f.now.Slow; s != nil && s.meets(f.rnd) {
		p.delay = s.delay
	}
	if x := f.now.Fail; x != nil && x.meets(f.rnd) {
		fail := *x
		p.fail = &fail
		return p
	}
	p.drop = f.now.Drop != nil && f.now.Drop.meets(f.rnd)
	return p
}

// meets tells whether the fault meets a request, and counts it.
func (w *receiveWhen) meets(rnd *rand.Rand) bool {
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
func (f *receiveFaults) MarshalJSON() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return json.Marshal(f.now)
}
