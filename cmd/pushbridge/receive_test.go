package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/urfave/cli/v2"
)

// TestReceiveCommand runs the command as its users do.
func TestReceiveCommand(t *testing.T) {
	run := func(t *testing.T, second int64) (string, error) {
		t.Helper()
		dir := t.TempDir()
		address, output := filepath.Join(dir, "address"), filepath.Join(dir, "got")
		app := &cli.App{
			Name: "test", Writer: io.Discard, ErrWriter: io.Discard, Commands: []*cli.Command{receiveCommand()},
			ExitErrHandler: func(*cli.Context, error) {},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- app.RunContext(ctx, []string{
				"test", "receive", "--web.listen-address=127.0.0.1:0",
				"--web.listen-address-file=" + address, "--output=" + output, "--strict", "--times=false",
			})
		}()
		url := "http://" + waitForAddress(t, address, done) + "/api/v1/write"
		postSample(t, url, 5, 1)
		postSample(t, url, second, 2)
		cancel()
		err := <-done
		got, readErr := os.ReadFile(output)
		if readErr != nil {
			t.Fatal(readErr)
		}
		return string(got), err
	}
	t.Run("in order", func(t *testing.T) {
		got, err := run(t, 6)
		if err != nil || got != "a{} 1\na{} 2\n" {
			t.Errorf("got %v, %q, want both samples and no error", err, got)
		}
	})
	t.Run("out of order", func(t *testing.T) {
		got, err := run(t, 4)
		if err == nil || !strings.Contains(err.Error(), "1 violations") || !strings.Contains(got, "VIOLATION") {
			t.Errorf("got %v, %q, want an error and a violation", err, got)
		}
	})
}

func waitForAddress(t *testing.T, file string, done <-chan error) string {
	t.Helper()
	for {
		select {
		case err := <-done:
			t.Fatalf("ended before it listened: %v", err)
		case <-time.After(time.Millisecond):
		}
		if b, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(b))
		}
	}
}

func TestReceiveBadFlags(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		app := &cli.App{Writer: io.Discard, ErrWriter: io.Discard, Commands: []*cli.Command{receiveCommand()}}
		err := app.RunContext(t.Context(), append([]string{"test", "receive"}, args...))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error that says %q", args, err, want)
		}
	}
	f("want 1, 2 or both", "--protocol=3")
	f("--control: control document", "--control={")
	f("--output: open", "--output=/nonexistent/file")
	f("listen: ", "--web.listen-address=127.0.0.1:99999", "--output=")
	f("--web.listen-address-file: ", "--web.listen-address=127.0.0.1:0", "--web.listen-address-file=/nonexistent/x", "--output=")
	f("unexpected argument", "x")
}

// postSample sends one sample of the series a by remote write 1.0.
func postSample(t *testing.T, url string, ms int64, value float64) {
	t.Helper()
	raw, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: "a"}},
		Samples: []prompb.Sample{{Timestamp: ms, Value: value}},
	}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"Content-Encoding":                  {"snappy"},
		"Content-Type":                      {"application/x-protobuf"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"},
		"User-Agent":                        {"test"},
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("got status %d, %v", resp.StatusCode, err)
	}
}
