package queue_test

import (
	"testing"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/queuetest"
)

// TestConformance holds Memory to what a store is, as far as nothing must outlive the
// process.
func TestConformance(t *testing.T) {
	queuetest.Run(t, queuetest.Kind{
		Volatile: true,
		New: func(*testing.T, queuetest.Options) *queuetest.Place {
			return &queuetest.Place{Store: func() queue.Store { return queue.NewMemory() }}
		},
	})
}
