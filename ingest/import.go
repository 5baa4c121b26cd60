package ingest

import (
	"context"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// Import carries out changes that somebody else has accepted already, in order,
// and returns when the last one is kept. What does not fit to the state is left
// out, and refused is told.
func (w *Writer) Import(ctx context.Context, changes []group.Change, now time.Time, refused func(group.Change, error)) error {
	return w.end(ctx, func(enqueue func(*group.Record)) {
		for _, c := range changes {
			if err := w.store.Apply(c, now, enqueue); err != nil {
				refused(c, err)
			}
		}
	})
}
