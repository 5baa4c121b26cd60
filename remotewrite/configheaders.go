package remotewrite

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	promconfig "github.com/prometheus/common/config"
)

// validateHeaders refuses headers that the protocol or the auth settings own
// (rule H-4). The http client checks http_headers by the same list.
func (c *Config) validateHeaders() error {
	for name := range c.Headers {
		key := http.CanonicalHeaderKey(name)
		if key == "Authorization" {
			return errors.New("headers: Authorization must be set by basic_auth, authorization, oauth2 or sigv4")
		}
		if _, ok := promconfig.ReservedHeaders[key]; ok {
			return fmt.Errorf("headers: %s is a reserved header, it must not be changed", name)
		}
	}
	return nil
}

// validateHeaderValues refuses what the http client would refuse with each request: values that
// do not stand in one line. It says which, and none of them, as they may be secret.
func (c *Config) validateHeaderValues() error {
	for name, value := range c.Headers {
		if !inOneLine(value) {
			return manyLines("headers: the value of " + name)
		}
	}
	if a := c.HTTPClient.Authorization; a != nil && !inOneLine(string(a.Credentials)) {
		return manyLines("authorization: credentials")
	}
	if c.HTTPClient.HTTPHeaders == nil {
		return nil
	}
	for name, h := range c.HTTPClient.HTTPHeaders.Headers {
		for _, value := range h.Values {
			if !inOneLine(value) {
				return manyLines("http_headers: a value of " + name)
			}
		}
		for _, secret := range h.Secrets {
			if !inOneLine(string(secret)) {
				return manyLines("http_headers: a secret of " + name)
			}
		}
	}
	return nil
}

// inOneLine reports whether s may be the value of a header (RFC 9110, section 5.5).
func inOneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func manyLines(what string) error {
	return fmt.Errorf("%s has a line end or another control character in it: a header stands in one line, in YAML without | or > in front of it", what)
}
