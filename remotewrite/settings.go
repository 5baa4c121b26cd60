package remotewrite

import (
	"maps"
	"net/url"

	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v2"
)

// Settings is the section as YAML, with its defaults and without secrets: for people to
// see.
func (c *Config) Settings() (string, error) {
	shown := *c
	if c.URL != nil {
		// Its own way to print it would escape what stands for a password.
		shown.URL = &promconfig.URL{URL: &url.URL{Opaque: c.Redacted()}}
	}
	shown.Headers = hidden(c.Headers) // some receivers want a token there
	if o := c.HTTPClient.OAuth2; o != nil {
		without := *o
		without.ClientID, without.EndpointParams = secret, hidden(o.EndpointParams)
		if u, err := url.Parse(o.TokenURL); err == nil {
			without.TokenURL = RedactURL(u)
		}
		shown.HTTPClient.OAuth2 = &without
	}
	text, err := yaml.Marshal(&shown)
	return string(text), err
}

// secret stands for what nobody is to see, as the configuration of Prometheus spells it.
const secret = "<secret>"

// hidden keeps the names alone.
func hidden(values map[string]string) map[string]string {
	out := maps.Clone(values)
	for name := range out {
		out[name] = secret
	}
	return out
}
