package remotewrite

import (
	"errors"
	"fmt"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
)

// Config is one section of remote_write, field by field as Prometheus has it, so
// that a section can be pasted from a prometheus.yml. Take its zero value from
// DefaultConfig, or unmarshal it from YAML.
type Config struct {
	// Where to send to. The only field that must be given.
	URL *promconfig.URL `yaml:"url"`
	// Name in logs, metrics, the API and of the position on disk. Without one it is
	// made of the url; with one a new url keeps the position.
	Name string `yaml:"name,omitempty"`
	// prometheus.WriteRequest is remote write 1.0, io.prometheus.write.v2.Request 2.0.
	// Absent: 2.0, and 1.0 where the receiver does not understand it.
	ProtobufMessage ProtobufMessage `yaml:"protobuf_message,omitempty"`
	// Bound of one request, from connecting to the end of the answer.
	RemoteTimeout model.Duration `yaml:"remote_timeout,omitempty"`
	// Further headers, as X-Scope-OrgID for a tenant.
	Headers map[string]string `yaml:"headers,omitempty"`
	// Rules that change or leave out series.
	WriteRelabelConfigs []*relabel.Config `yaml:"write_relabel_configs,omitempty"`
	// Send exemplars.
	SendExemplars bool `yaml:"send_exemplars,omitempty"`
	// The receiver keeps native histograms: send them alone, in 1.0 too.
	SendNativeHistograms bool `yaml:"send_native_histograms,omitempty"`
	// Look the name up at each connection and use its addresses in turn.
	RoundRobinDNS bool `yaml:"round_robin_dns,omitempty"`

	// Without effect: there are no such histograms here.
	ConvertNHCBToClassic bool `yaml:"convert_nhcb_to_classic,omitempty"`
	// Without effect: requests that fail are always logged.
	FailedRequestLogging bool `yaml:"failed_request_logging,omitempty"`

	// Batches, shards and retries.
	Queue QueueConfig `yaml:"queue_config,omitempty"`
	// Metadata in remote write 1.0.
	Metadata MetadataConfig `yaml:"metadata_config,omitempty"`

	HTTPClient promconfig.HTTPClientConfig `yaml:",inline"`
	// Signatures for Amazon's managed Prometheus, in a binary built with the tag sigv4.
	// Others refuse it.
	SigV4 *SigV4Config `yaml:"sigv4,omitempty"`

	// Refused: not part of this build. Use oauth2 with the token_url of the tenant.
	AzureAD any `yaml:"azuread,omitempty"`
	// Refused: not part of this build. Put a proxy that authenticates in front.
	GoogleIAM any `yaml:"google_iam,omitempty"`

	// given notes which of the fields without effect the user wrote, former what earlier
	// versions called a section without a name: see Name.
	given, former []string
}

// DefaultBatchSendDeadline is how long after a request the next one leaves at the
// latest, full or not, unless the line was idle: docs/decisions/0005 has the
// measurements. Prometheus' default is 5 s.
const DefaultBatchSendDeadline = model.Duration(10 * time.Millisecond)

// QueueConfig is the queue_config of a section.
type QueueConfig struct {
	// Samples that a shard holds in memory; the rest waits in the log.
	Capacity int `yaml:"capacity,omitempty"`
	// Bound of the number of shards, which is 4 where the two bounds allow it.
	MaxShards int `yaml:"max_shards,omitempty"`
	// Least number of shards: more help where each request takes long.
	MinShards int `yaml:"min_shards,omitempty"`
	// Largest number of samples in a request.
	MaxSamplesPerSend int `yaml:"max_samples_per_send,omitempty"`
	// How long after a request the next one leaves at the latest, full or not.
	BatchSendDeadline model.Duration `yaml:"batch_send_deadline,omitempty"`
	// Wait before the first retry, doubled for each further one.
	MinBackoff model.Duration `yaml:"min_backoff,omitempty"`
	// Longest wait between two tries.
	MaxBackoff model.Duration `yaml:"max_backoff,omitempty"`

	// Try again after 429. It is true unless it was set to false: with a durable queue
	// there is no reason to throw away what a receiver asks to get later.
	RetryOnRateLimit bool `yaml:"retry_on_http_429"`

	// Drop samples that are older than this before a try. 0 is no limit.
	SampleAgeLimit model.Duration `yaml:"sample_age_limit,omitempty"`
}

// MetadataConfig is the metadata_config of a section. It governs remote write
// 1.0 only: 2.0 carries metadata with every series.
type MetadataConfig struct {
	// Send type, help and unit of families.
	Send bool `yaml:"send"`
	// How often to send all of them again; new ones go at once.
	SendInterval model.Duration `yaml:"send_interval"`
	// Largest number of families in a request.
	MaxSamplesPerSend int `yaml:"max_samples_per_send,omitempty"`
}

// ProtobufMessage names the message that a destination is sent.
type ProtobufMessage string

// The messages. Negotiate tries remote write 2.0 first and falls back to 1.0.
const (
	Negotiate ProtobufMessage = ""
	Message1  ProtobufMessage = "prometheus.WriteRequest"
	Message2  ProtobufMessage = "io.prometheus.write.v2.Request"
)

// defaultShards is the number of shards where the configuration allows it: a
// fixed one, since what shards win is time on the wire, not CPU.
const defaultShards = 4

// DefaultConfig is the configuration of a destination of which only the url is
// known.
func DefaultConfig(u *promconfig.URL) Config {
	c := defaults()
	c.URL = u
	return c
}

func defaults() Config {
	return Config{
		RemoteTimeout: model.Duration(30 * time.Second),
		Queue: QueueConfig{
			Capacity:          10000,
			MaxShards:         50,
			MinShards:         1,
			MaxSamplesPerSend: 2000,
			BatchSendDeadline: DefaultBatchSendDeadline,
			MinBackoff:        model.Duration(30 * time.Millisecond),
			MaxBackoff:        model.Duration(5 * time.Second),
			RetryOnRateLimit:  true,
		},
		Metadata: MetadataConfig{
			Send:              true,
			SendInterval:      model.Duration(time.Minute),
			MaxSamplesPerSend: 2000,
		},
		// The http client's own default has HTTP/2 on: one connection that
		// stalls would then stall every shard (rules H-7 and Y-2).
		HTTPClient: promconfig.HTTPClientConfig{FollowRedirects: true},
	}
}

// UnmarshalYAML fills in defaults before, and validates after.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = defaults()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	c.noteGiven(unmarshal)
	return c.Validate()
}

// noteGiven finds the fields without effect that were written at all.
func (c *Config) noteGiven(unmarshal func(any) error) {
	var fields struct {
		Rest map[string]any `yaml:",inline"`
	}
	if unmarshal(&fields) != nil {
		return // strict or not, the section itself was fine
	}
	for _, name := range []string{"convert_nhcb_to_classic", "failed_request_logging"} {
		if _, ok := fields.Rest[name]; ok {
			c.given = append(c.given, name)
		}
	}
}

// Unused names the fields that were set and change nothing here: native
// histograms with custom buckets never arise, and refused requests are always
// logged.
func (c *Config) Unused() []string { return c.given }

// SetDirectory makes relative file names relative to dir, the directory of the
// configuration file.
func (c *Config) SetDirectory(dir string) { c.HTTPClient.SetDirectory(dir) }

// Validate checks the section as Prometheus does, and a little more where it
// would only fail later. It also fills in what the http client's own validation
// fills in.
func (c *Config) Validate() error {
	for _, check := range []func() error{
		c.validateURL, c.validateMessage, c.validateHeaders, c.validateRelabel,
		c.HTTPClient.Validate, c.Queue.validate, c.validateMetadata, c.validateAuth, c.validateHeaderValues,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if c.RemoteTimeout <= 0 {
		return errors.New("remote_timeout must be positive")
	}
	return nil
}

func (c *Config) validateURL() error {
	switch {
	case c.URL == nil || c.URL.URL == nil || c.URL.String() == "":
		return errors.New("url for remote_write is empty")
	case c.URL.Scheme != "http" && c.URL.Scheme != "https":
		return fmt.Errorf("url %q: scheme must be http or https", c.Redacted())
	case c.URL.Host == "":
		return fmt.Errorf("url %q: no host", c.Redacted())
	}
	return nil
}

func (c *Config) validateMessage() error {
	switch c.ProtobufMessage {
	case Negotiate, Message1, Message2:
		return nil
	}
	return fmt.Errorf("protobuf_message %q: must be %s or %s, or absent to negotiate", string(c.ProtobufMessage), Message1, Message2)
}

func (c *Config) validateRelabel() error {
	for i, r := range c.WriteRelabelConfigs {
		if r == nil {
			return errors.New("write_relabel_configs: empty or null rule")
		}
		if err := r.Validate(model.UTF8Validation); err != nil {
			return fmt.Errorf("write_relabel_configs: rule %d: %w", i+1, err)
		}
	}
	return nil
}

func (c *Config) validateMetadata() error {
	switch {
	case !c.Metadata.Send:
	case c.Metadata.SendInterval <= 0:
		return errors.New("metadata_config: send_interval must be positive")
	case c.Metadata.MaxSamplesPerSend <= 0:
		return errors.New("metadata_config: max_samples_per_send must be positive")
	}
	return nil
}

func (q *QueueConfig) validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"max_shards", q.MaxShards},
		{"min_shards", q.MinShards},
		{"max_samples_per_send", q.MaxSamplesPerSend},
		{"capacity", q.Capacity},
	} {
		if f.value <= 0 {
			return fmt.Errorf("queue_config: %s must be positive", f.name)
		}
	}
	switch {
	case q.MinShards > q.MaxShards:
		return errors.New("queue_config: min_shards must not be greater than max_shards")
	case q.MaxBackoff < q.MinBackoff:
		return errors.New("queue_config: max_backoff must not be less than min_backoff")
	}
	return nil
}

// validateAuth allows one auth method, and of those only what this build has.
func (c *Config) validateAuth() error {
	var set []string
	for _, m := range []struct {
		name string
		on   bool
	}{
		{"basic_auth", c.HTTPClient.BasicAuth != nil},
		{"authorization", c.HTTPClient.Authorization != nil},
		{"oauth2", c.HTTPClient.OAuth2 != nil},
		{"sigv4", c.SigV4 != nil},
		{"azuread", c.AzureAD != nil},
		{"google_iam", c.GoogleIAM != nil},
	} {
		if m.on {
			set = append(set, m.name)
		}
	}
	switch {
	case len(set) > 1:
		return fmt.Errorf("at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured, found %s", strings.Join(set, ", "))
	case c.AzureAD != nil:
		return errors.New("azuread: not part of this build; use oauth2 with the token_url of the tenant")
	case c.GoogleIAM != nil:
		return errors.New("google_iam: not part of this build; put an authenticating proxy in front of the destination")
	case c.SigV4 != nil:
		return c.SigV4.validate()
	}
	return nil
}

// shards is the number of shards of a destination.
func (q *QueueConfig) shards() int { return min(max(defaultShards, q.MinShards), q.MaxShards) }

// Shards is the number of shards that the destination has, and its cursor must
// have.
func (c *Config) Shards() int { return c.Queue.shards() }
