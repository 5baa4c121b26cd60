package main_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestLoadShedding fills the memory that pushes may take with one that does not
// come to its end: others are answered 503 with Retry-After, at once, and are
// taken when there is room again.
func TestLoadShedding(t *testing.T) {
	s := startServer(t, serverBinary(t), t.TempDir(), "--storage.path=", "--push.max-inflight-bytes=8MiB", "--log.level=warn")
	url := s.ready(t)
	client := &http.Client{Timeout: time.Minute}
	body := &strings.Builder{}
	for i := range 5000 {
		fmt.Fprintf(body, "some_metric{i=\"%d\"} %d\n", i, i)
	}
	half := body.Len() / 2

	rest, hang := io.Pipe()
	slow := make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/metrics/job/slow", rest)
		if err != nil {
			t.Error(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			slow <- 0
			return
		}
		_ = resp.Body.Close()
		slow <- resp.StatusCode
	}()
	if _, err := io.WriteString(hang, body.String()[:half]); err != nil {
		t.Fatal(err)
	}

	// Whether the first one fits beside the other half depends on how much is read;
	// more and more hang until there is no room.
	var hanging []*io.PipeWriter
	shed := func() bool {
		a := put(t, client, url+"/metrics/job/other", body.String())
		if a.status == http.StatusOK {
			return false
		}
		if a.status != http.StatusServiceUnavailable || a.retryAfter == "" || !strings.Contains(a.text, "--push.max-inflight-bytes") {
			t.Fatalf("%+v", a)
		}
		return true
	}
	for !shed() {
		if len(hanging) == 100 {
			t.Fatal("100 pushes hang, and there is still room")
		}
		r, w := io.Pipe()
		hanging = append(hanging, w)
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/metrics/job/hanging", r)
			if err != nil {
				t.Error(err)
			}
			if resp, err := client.Do(req); err == nil { // ends with an error of our own
				_ = resp.Body.Close()
			}
		}()
		if _, err := io.WriteString(w, body.String()[:half]); err != nil {
			t.Fatal(err)
		}
	}
	if code := readiness(t, url); code != http.StatusOK {
		t.Errorf("/-/ready is answered %d: pushes that fit are taken", code)
	}
	for _, w := range hanging {
		_ = w.CloseWithError(io.ErrUnexpectedEOF) // never fails
	}
	if len(hanging) > 0 {
		waitForRoom(t, shed) // or the slow push, too, finds none: the gateway has yet to notice
	}
	if _, err := io.WriteString(hang, body.String()[half:]); err != nil {
		t.Fatal(err)
	}
	_ = hang.Close() // never fails
	if code := <-slow; code != http.StatusOK {
		t.Errorf("the slow push is answered %d", code)
	}
	waitForRoom(t, shed)
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.tail())
	}
}

func waitForRoom(t *testing.T, shed func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); shed(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no room again")
		}
	}
}

// answer is what a push is answered.
type answer struct {
	status           int
	retryAfter, text string
}

func put(t *testing.T, client *http.Client, url, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Retry-After"), string(text)}
}
