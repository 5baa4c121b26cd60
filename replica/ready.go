package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// catchUp is how long a look at this replica waits for its fold.
const catchUp = time.Second

// Ready returns nil while a push to this replica is taken, here or at the one that leads, and
// otherwise why not. Where pushes are held it is ready: no other replica could do more.
func (x *Replicas) Ready() error {
	log := x.o.Gateway.Log()
	err := log.Err()
	l := log.Lease().Leader()
	if !x.shared || l.Here || !errors.Is(err, queue.ErrElsewhere) || l.ID != "" && l.Address == "" && !l.Gone {
		return err
	}
	if l.Silent > x.o.HoldTimeout {
		return fmt.Errorf("nothing was heard of the log for %s: %w", l.Silent.Round(time.Millisecond), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), catchUp)
	defer cancel()
	if log.Lease().WaitFor(ctx, l.Head) != nil {
		return fmt.Errorf("this replica is %d records behind: %w", behind(l.Head, log.Head()), err)
	}
	x.peers.mu.Lock()
	defer x.peers.mu.Unlock()
	if since := time.Since(x.peers.reached); since > x.o.HoldTimeout && !l.Gone {
		return fmt.Errorf("replica %q, which leads, cannot be reached: %w", l.ID, errors.Join(x.peers.failure, err))
	}
	return nil
}
