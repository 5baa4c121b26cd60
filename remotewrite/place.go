package remotewrite

import (
	"net/url"
	"strings"
)

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
	if port := u.Port(); port == defaultPort(u.Scheme) || port == "" {
		return strings.TrimSuffix(host, ":"+port)
	}
	return host
}

// defaultPort is what a url of that scheme need not name.
func defaultPort(scheme string) string {
	switch strings.ToLower(scheme) {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}
