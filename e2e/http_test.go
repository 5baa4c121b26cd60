package e2e

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client keeps connections to itself and never follows a redirect: a test sees
// what the server said.
var client = &http.Client{
	Timeout:       patience,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// get returns status and body of a GET.
func get(url string) (int, string, error) {
	return send(context.Background(), http.MethodGet, url, "", nil)
}

// send makes one request and returns status and body of the answer. Headers are
// pairs of name and value.
func send(ctx context.Context, method, url, body string, headers []string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// mustGet returns the body of a GET that is answered 200.
func mustGet(t testing.TB, url string) string {
	t.Helper()
	code, body, err := get(url)
	if err != nil || code != http.StatusOK {
		t.Fatalf("GET %s: %d %v\n%s", url, code, err, body)
	}
	return body
}

// must makes a request that is answered with a 2xx status.
func must(t testing.TB, method, url, body string, headers ...string) {
	t.Helper()
	code, answer, err := send(t.Context(), method, url, body, headers)
	if err != nil || code/100 != 2 {
		t.Fatalf("%s %s: %d %v\n%s", method, url, code, err, answer)
	}
}
