package jetstream_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/jetstream"
	"github.com/pushbridge/pushbridge/queue/queuetest"
)

var streams atomic.Int64

// TestConformance holds the store to what a store is, on real servers.
func TestConformance(t *testing.T) {
	c := newCluster(t)
	queuetest.Run(t, queuetest.Kind{New: func(_ *testing.T, o queuetest.Options) *queuetest.Place {
		if o.MaxBytes == 0 {
			o.MaxBytes = -1
		}
		name := fmt.Sprintf("conformance%d", streams.Add(1))
		return &queuetest.Place{Store: func() queue.Store {
			return jetstream.New(jetstream.Options{URLs: c.urls(), Stream: name, ID: "a", PartBytes: o.PartBytes, MaxBytes: o.MaxBytes})
		}}
	}})
}
