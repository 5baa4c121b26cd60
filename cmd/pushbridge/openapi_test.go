package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pushbridge/pushbridge/web"
)

// description is web/openapi.yaml, read once.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	d, err := openapi3.NewLoader().LoadFromData(web.Description)
	if err == nil {
		err = d.Validate(context.Background())
	}
	return d, err
})

// receiverPaths are those that a receiver has and the gateway does not.
var receiverPaths = []string{"write", "push", "receive", "samples", "series", "stats"}

// checkAnswer holds an answer of the gateway to the description of its API.
func checkAnswer(method, path string, status int, header http.Header, body string) error {
	_, api, ok := strings.Cut(path, apiPath)
	if ok && slices.Contains(receiverPaths, api) || !ok && !strings.Contains(path, "/metrics/job/") || method == http.MethodOptions {
		return nil
	}
	d, err := description()
	if err != nil {
		return err
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	op, template := operationOf(d, method, path)
	switch {
	case op == nil && status < 300:
		return errors.New("there is no such operation")
	case op == nil || status/100 == 3 || body == "" || err != nil: // elsewhere, or nothing to look at
		return nil
	case kind == "text/plain" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		return nil // the route is not there
	}
	response := op.Responses.Status(status)
	if response == nil {
		response = op.Responses.Default()
	}
	if response == nil {
		return fmt.Errorf("%s: no status %d is described", template, status)
	}
	content := response.Value.Content.Get(kind)
	if content == nil {
		return fmt.Errorf("%s: status %d is not described as %s", template, status, kind)
	}
	var value any = body
	if kind == "application/json" {
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			return fmt.Errorf("%s: %w", template, err)
		}
	}
	if err := content.Schema.Value.VisitJSON(value, openapi3.VisitAsResponse(), openapi3.EnableFormatValidation(), openapi3.MultiErrors()); err != nil {
		return fmt.Errorf("%s, status %d: %w", template, status, err)
	}
	return nil
}

var pathParameter = regexp.MustCompile(`\\\{[a-z]+\\\}`)

// operationOf returns the operation that a request is, nil when there is none. Whatever
// prefix there is stands in front of the paths.
func operationOf(d *openapi3.T, method, path string) (*openapi3.Operation, string) {
	var op *openapi3.Operation
	var template string
	for t, item := range d.Paths.Map() {
		expr := pathParameter.ReplaceAllString(regexp.QuoteMeta(t), ".+")
		if regexp.MustCompile(expr+"$").MatchString(path) && len(t) > len(template) {
			op, template = item.GetOperation(method), t
		}
	}
	return op, template
}

// TestDescription holds the description to the handlers: each operation of it is there,
// and what the test of answers lets pass is no matter of taste.
func TestDescription(t *testing.T) {
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path string
		status       int
		kind, body   string
		ok           bool
	}{
		{"GET", "/api/v1/groups", 200, "application/json", `{"status":"success","data":{"total":0,"matching":0,"offset":0,"groups":[]}}`, true},
		{"GET", "/prefix/api/v1/groups", 200, "application/json", `{"status":"success","data":{"total":0,"matching":0,"offset":0}}`, false},
		{"GET", "/api/v1/groups", 200, "application/json", `{"status":"success","data":{"total":0,"matching":0,"offset":0,"groups":[],"more":1}}`, false},
		{"GET", "/api/v1/groups", 400, "application/json", `{"status":"error","errorType":"bad_data","error":"x"}`, true},
		{"GET", "/api/v1/groups", 400, "application/json", `{"status":"error","errorType":"other","error":"x"}`, false},
		{"GET", "/api/v1/groups", 418, "application/json", `{}`, false},
		{"GET", "/api/v1/groups", 200, "text/html", `<html>`, false},
		{"GET", "/api/v1/invented", 200, "application/json", `{}`, false},
		{"GET", "/api/v1/invented", 404, "text/plain", "404", true},
		{"POST", "/api/v1/destinations/a/b/pause", 200, "application/json", `{"status":"success","data":{"name":"a/b","paused":true}}`, true},
		{"POST", "/api/v1/destinations/a/b/pause", 200, "application/json", `{"status":"success","data":{"name":"a/b"}}`, false},
		{"PUT", "/metrics/job/a/b/c", 202, "application/json", `{"status":"success","data":{"id":"0123456789abcdef-1-00000000","destinations":[{"destination":"a","state":"delivered","time":"2026-01-02T03:04:05Z"}]}}`, true},
		{"PUT", "/metrics/job/a/b/c", 202, "application/json", `{"status":"success","data":{"id":"1","destinations":[]}}`, false},
		{"PUT", "/metrics/job/a/b/c", 202, "application/json", `{"status":"success","data":{"id":"0123456789abcdef-1-00000000","destinations":[{"destination":"a","state":"delivered","time":"yesterday"}]}}`, false},
	} {
		err := checkAnswer(tt.method, tt.path, tt.status, http.Header{"Content-Type": {tt.kind}}, tt.body)
		if (err == nil) != tt.ok {
			t.Errorf("%s %s %d %s: %v", tt.method, tt.path, tt.status, tt.body, err)
		}
	}
	address := runGateway(t, "--web.listen-address=127.0.0.1:0", "--web.enable-admin-api", "--remote-write.url=http://127.0.0.1:1/w")[0]
	for template, item := range d.Paths.Map() {
		for method := range item.Operations() {
			checkRoute(t, method, "http://"+address+strings.NewReplacer("{job}", "a", "{id}", "x", "{name}", "127.0.0.1:1/w").Replace(template))
		}
	}
}

// checkRoute fails when nobody answers an operation of the description, or not as it says.
func checkRoute(t *testing.T, method, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	kind := resp.Header.Get("Content-Type")
	if resp.StatusCode == http.StatusMethodNotAllowed || resp.StatusCode == http.StatusNotFound && !strings.Contains(kind, "json") {
		t.Errorf("%s %s is answered %s", method, url, resp.Status)
	}
	if err := checkAnswer(method, req.URL.Path, resp.StatusCode, resp.Header, string(body)); err != nil {
		t.Errorf("%s %s: %v", method, url, err)
	}
}
