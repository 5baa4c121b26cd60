package remotewrite

import (
	"net/url"
	"strings"
)

// defaultPorts are those that a url need not name.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// canonical is one spelling for all urls that mean the same place: without slashes
// at the end or in a row, without the port that goes without saying, without
// fragment, the host in lower case. Requests go to the url as it was given.
func canonical(u url.URL) url.URL {
	u.Fragment, u.RawFragment, u.ForceQuery = "", "", false
	u.Host = canonicalHost(&u)
	path := u.EscapedPath()
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	path = strings.TrimSuffix(path, "/")
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = plain, path
	}
	return u
}

func canonicalHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == defaultPorts[strings.ToLower(u.Scheme)] || port == "" {
		return strings.TrimSuffix(host, ":"+port)
	}
	return host
}
