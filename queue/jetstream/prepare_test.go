package jetstream

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestCheck: a stream that would lose something without a word is refused, and the word
// for it says what to change.
func TestCheck(t *testing.T) {
	s := &server{name: "log", subject: "log.log", tail: "log.tail"}
	for want, change := range map[string]func(*jetstream.StreamConfig){
		"":                            func(*jetstream.StreamConfig) {},
		"its storage is memory":       func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"it must have log.log alone":  func(c *jetstream.StreamConfig) { c.Subjects = []string{"log.>"} },
		"its retention is WorkQueue":  func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"use --discard=new":           func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"use --max-age=0":             func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"use --max-msgs=-1":           func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 },
		"--max-msgs-per-subject=-1":   func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		"--max-msg-size=904164":       func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 },
		"use --allow-direct":          func(c *jetstream.StreamConfig) { c.AllowDirect = false },
		"--republish-source=log.log":  func(c *jetstream.StreamConfig) { c.RePublish = nil },
		"--republish-destination=log": func(c *jetstream.StreamConfig) { c.RePublish.HeadersOnly = true },
		"it does not acknowledge":     func(c *jetstream.StreamConfig) { c.NoAck = true },
		"denies to be purged":         func(c *jetstream.StreamConfig) { c.DenyPurge = true },
		"filled from other streams":   func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{Name: "x"} },
		"transforms subjects":         func(c *jetstream.StreamConfig) { c.SubjectTransform = &jetstream.SubjectTransformConfig{} },
		"before it has written":       func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
	} {
		c := s.config(3)
		change(&c)
		err := s.check(&c)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for name, good := range map[string]bool{"pushbridge": true, "a_b-1": true, "a.b": false, "": false, "a b": false, "a>": false} {
		if err := checkName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
