package remotewrite

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// ID names the destination, everywhere: its cursor, its metrics, the log, the API. It is
// the name of the section, or without one host and path of the url, however it is
// spelled, with some digits of a hash where user, query or the headers of a tenant say
// more. Whatever else changes, credentials and timeouts and relabelling, the destination
// goes on where it was.
func (c *Config) ID() string {
	if c.Name != "" {
		return c.Name
	}
	return c.defaultName()
}

const (
	maxDefaultName = 100
	hashDigits     = 6
)

// defaultName shows neither secrets nor what the path alone does not tell.
func (c *Config) defaultName() string {
	u := canonical(c.url())
	name := u.Host + u.EscapedPath()
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if long := len(name) > maxDefaultName; long || c.place(u) != bare.String() {
		name = name[:min(len(name), maxDefaultName)] + "-" + strings.TrimPrefix(c.placeID(), idPrefix)[:hashDigits]
	}
	return strings.ToValidUTF8(name, "")
}

// placeID tells places apart that samples can go to.
func (c *Config) placeID() string { return hashed(c.place(canonical(c.url()))) }

// FormerIDs are what earlier versions called the same destination: a hash of the url
// and the tenant, before that of the url as it is spelled.
func (c *Config) FormerIDs() []string {
	if c.former == nil && c.Name == "" {
		return slices.Compact([]string{c.placeID(), c.spelledID()})
	}
	return c.former
}

// formerLabel is how metrics and logs of earlier versions called the destination.
func (c *Config) formerLabel() string {
	return strings.TrimPrefix(c.spelledID(), idPrefix)[:hashDigits]
}

func (c *Config) spelledID() string { return hashed(c.place(c.url())) }

const idPrefix = "url-"

func hashed(place string) string {
	sum := sha256.Sum256([]byte(place))
	return idPrefix + hex.EncodeToString(sum[:8])
}

// Redacted is the url for people to see.
func (c *Config) Redacted() string {
	if c.URL == nil {
		return ""
	}
	return RedactURL(c.URL.URL)
}

// redacted stands for what nobody is to see, as net/url spells it.
const redacted = "xxxxx"

// RedactURL is u for people to see: without its password, and without the values of
// its query, which are where some receivers want a token.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	shown := *u
	shown.Fragment, shown.RawFragment = "", "" // it is never sent
	fields := strings.Split(u.RawQuery, "&")
	for i, f := range fields {
		name, value, ok := strings.Cut(f, "=")
		switch {
		case ok && value != "":
			fields[i] = name + "=" + redacted
		case !ok && name != "":
			fields[i] = redacted
		}
	}
	shown.RawQuery = strings.Join(fields, "&")
	text := shown.Redacted()
	if i := strings.LastIndex(text, "@"); i >= 0 && u.Host == "" && u.User == nil {
		return redacted + text[i:] // user:password@host without its http://
	}
	return text
}

// url is where samples go, without password.
func (c *Config) url() (u url.URL) {
	if c.URL != nil && c.URL.URL != nil {
		u = *c.URL.URL
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	return u
}

// place is where samples go: url without password, and tenant.
func (c *Config) place(u url.URL) string {
	parts := []string{u.String()}
	for name, value := range c.Headers {
		if namesTenant(name) {
			parts = append(parts, http.CanonicalHeaderKey(name)+": "+value)
		}
	}
	if h := c.HTTPClient.HTTPHeaders; h != nil {
		for name, value := range h.Headers {
			if namesTenant(name) {
				parts = append(parts, http.CanonicalHeaderKey(name)+": "+strings.Join(value.Values, ", "))
			}
		}
	}
	slices.Sort(parts[1:])
	return strings.Join(parts, "\n")
}

// namesTenant says whether a header names a tenant: X-Scope-OrgID of Mimir and
// Cortex, THANOS-TENANT, and what others are called.
func namesTenant(header string) bool {
	h := strings.ToLower(header)
	return strings.Contains(h, "tenant") || strings.Contains(h, "orgid") || strings.Contains(h, "org-id") ||
		strings.Contains(h, "account") || strings.Contains(h, "project")
}

// Name gives a name to each section that cannot be told apart from one before it
// by url and tenant, since each needs a cursor of its own: the same url may be
// fed twice with different relabelling. It returns an error where two sections
// have the same name, or are the same.
func Name(sections []*Config) error {
	taken := make(map[string]bool, len(sections))
	for i, c := range sections {
		same := func(o *Config) bool { return reflect.DeepEqual(c, o) }
		if first := slices.IndexFunc(sections[:i], same); first >= 0 && c.Name == "" {
			return fmt.Errorf("remote_write: sections %d and %d are the same, and every sample would be sent twice: %s",
				first+1, i+1, c.Redacted())
		}
		if c.Name != "" && taken[c.Name] {
			return fmt.Errorf("remote_write: found two sections with the name %q", c.Name)
		}
		taken[c.Name] = true
	}
	former := formerNames(sections)
	for i, c := range sections {
		if c.Name != "" {
			continue
		}
		if id := c.ID(); taken[id] {
			c.former, c.Name = former[i], freeName(id, 2, taken)
		}
		taken[c.ID()] = true
	}
	return nil
}

// formerNames returns what earlier versions called each section without a name: they told
// apart only those with the same url and tenant.
func formerNames(sections []*Config) [][]string {
	taken, count := make(map[string]bool), make(map[string]int)
	for _, c := range sections {
		taken[c.Name] = true
		for _, name := range c.former {
			taken[name] = true
		}
		if c.Name == "" {
			taken[c.placeID()], taken[c.formerLabel()] = true, true
		}
	}
	names := make([][]string, len(sections))
	for i, c := range sections {
		if c.Name != "" {
			continue
		}
		place := c.placeID()
		names[i] = c.FormerIDs()
		if count[place]++; count[place] > 1 {
			name := freeName(c.formerLabel(), count[place], taken)
			taken[name] = true
			names[i] = []string{name}
		}
	}
	return names
}

func freeName(label string, n int, taken map[string]bool) string {
	for ; ; n++ {
		if name := label + "-" + strconv.Itoa(n); !taken[name] {
			return name
		}
	}
}
