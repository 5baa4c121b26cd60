//go:build !sigv4

package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

var errNoSigning = errors.New("this binary was built without AWS request signing; build one that has it with `make build TAGS=sigv4` (or `go build -tags sigv4 ./cmd/pushbridge`)")

// validate refuses the section: what it asks for is not here.
func (*SigV4Config) validate() error { return fmt.Errorf("sigv4: %w", errNoSigning) }

// sign is not reached by a section that was validated.
func (*SigV4Config) sign(context.Context, http.RoundTripper) (http.RoundTripper, error) {
	return nil, errNoSigning
}
