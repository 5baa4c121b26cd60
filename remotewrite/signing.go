package remotewrite

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	promconfig "github.com/prometheus/common/config"
)

// SigV4Config is the sigv4 of a section, key by key as Prometheus has it. Every binary
// reads it; only one that is built with the tag sigv4 can sign: what does is large.
type SigV4Config struct {
	// Region. Without one as AWS' SDK finds it, and so are the keys.
	Region string `yaml:"region,omitempty"`
	// Id of the key.
	AccessKey string `yaml:"access_key,omitempty"`
	// The key.
	SecretKey promconfig.Secret `yaml:"secret_key,omitempty"`
	// Profile of AWS' configuration files.
	Profile string `yaml:"profile,omitempty"`
	// Role to take on.
	RoleARN string `yaml:"role_arn,omitempty"`
	// External id for the role.
	ExternalID string `yaml:"external_id,omitempty"`
	// Name of the session in the role.
	SessionName string `yaml:"session_name,omitempty"`
	// Tags of the session.
	Tags map[string]string `yaml:"tags,omitempty"`
	// Ask for the role where FIPS 140 holds.
	UseFIPSSTSEndpoint bool `yaml:"use_fips_sts_endpoint,omitempty"`
	// Name in the signature. aps without one.
	ServiceName string `yaml:"service_name,omitempty"`
}

// signer signs requests. It is set up with the first one: it asks for credentials, and
// while nobody answers that the others must be able to start (promise P4).
type signer struct {
	config *SigV4Config
	next   doorway

	mu   sync.Mutex
	made http.RoundTripper
}

// RoundTrip signs and sends.
func (s *signer) RoundTrip(r *http.Request) (*http.Response, error) {
	rt, err := s.get(r.Context())
	if err != nil {
		return nil, err
	}
	return rt.RoundTrip(r)
}

// CloseIdleConnections passes it on.
func (s *signer) CloseIdleConnections() { s.next.CloseIdleConnections() }

func (s *signer) get(ctx context.Context) (http.RoundTripper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made != nil {
		return s.made, nil
	}
	rt, err := s.config.sign(context.WithoutCancel(ctx), s.next)
	if err != nil {
		return nil, fmt.Errorf("sigv4: %w", err)
	}
	s.made = rt
	return rt, nil
}
