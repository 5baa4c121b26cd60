package remotewrite

import (
	"net/http"
	"time"
)

// Some answers say nothing about samples: whoever sends others gets the same. A
// token that has expired, a path that is wrong, a receiver that is switched off: the
// destination is set up wrongly, here or there, and when that is mended the samples
// are wanted. So they wait, as in an outage, and judge calls for another try.

// turnedAway says whether an answer that is to be repeated is of that kind: it came
// from something that works, and is neither an outage nor a receiver that is busy.
func (a *answer) turnedAway() bool {
	return a.err == nil && a.status/100 != 5 && a.status != http.StatusTooManyRequests
}

// misconfigured is the verdict on such an answer.
func (t terms) misconfigured() verdict {
	if t.dropMisconfigured {
		return rejected
	}
	return again
}

// meaning says what an answer means for whoever has set up the destination; empty
// when the status alone says nothing.
func (a *answer) meaning() string {
	switch {
	case a.err != nil:
		return ""
	case a.status/100 == 3:
		return "the receiver is elsewhere: put the location into the url; only 307 and 308 are followed, without follow_redirects: false"
	case a.status/100 == 2:
		return "the answer does not say that anything was stored: the receiver does not take this version of remote write"
	}
	return meaningOf(a.status)
}

// meaningOf says what is to be looked at, for answers that are typical of a mistake.
func meaningOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "credentials are missing, wrong, or have expired"
	case http.StatusPaymentRequired:
		return "the account at the receiver is not paid for, or used up"
	case http.StatusForbidden:
		return "these credentials may not write here"
	case http.StatusNotFound:
		return "nothing takes remote write at this path: look at the url; a Prometheus does with --web.enable-remote-write-receiver alone"
	case http.StatusMethodNotAllowed:
		return "nothing takes POST at this path: look at the url"
	case http.StatusProxyAuthRequired:
		return "a proxy on the way wants credentials"
	case http.StatusRequestTimeout:
		return "the receiver, or a proxy, did not get the whole request in time"
	case http.StatusUnsupportedMediaType:
		return "the receiver does not take this version of remote write"
	case http.StatusLocked:
		return "the receiver is locked"
	case http.StatusTooEarly:
		return "the receiver, or a proxy, does not take requests this early on a connection"
	case http.StatusUpgradeRequired:
		return "the receiver wants another protocol, TLS perhaps"
	case http.StatusUnavailableForLegalReasons:
		return "the receiver may not take this, for legal reasons"
	}
	return ""
}

// renewAuthEvery is how often new credentials are asked for, at most, while the
// receiver does not take those that there are: whoever hands them out is somebody else.
const renewAuthEvery = 5 * time.Second

// refusesCredentials says whether a new token may help. AWS says 403 where others say
// 401.
func (a *answer) refusesCredentials() bool {
	return a.err == nil && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden)
}
