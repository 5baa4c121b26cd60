//go:build sigv4

package remotewrite

import (
	"context"
	"net/http"

	"github.com/prometheus/sigv4"
)

// validate checks the section as Prometheus does. The conversion holds our fields to
// theirs, TestSigV4HasPrometheusKeys the keys.
func (c *SigV4Config) validate() error { return (*sigv4.SigV4Config)(c).Validate() }

// sign returns what signs requests before next has them.
func (c *SigV4Config) sign(ctx context.Context, next http.RoundTripper) (http.RoundTripper, error) {
	return sigv4.NewSigV4RoundTripper((*sigv4.SigV4Config)(c), next, sigv4.WithContext(ctx))
}
