package remotewrite

import (
	"fmt"
	"time"
)

// Check says whether a destination can be made from c, without making one: it
// also finds what only setting up TLS and credentials does.
func Check(c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("destination %s: %w", c.ID(), err)
	}
	if _, err := newClient(&c, nil, time.Now); err != nil {
		return fmt.Errorf("destination %s: %w", c.ID(), err)
	}
	return nil
}
