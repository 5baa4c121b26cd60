package e2e

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/config"
)

// section is a remote_write section, or more of a file, and what pushbridge
// says to it. Prometheus must say the same, unless differs tells why not.
type section struct {
	name    string
	good    bool
	yaml    string
	differs string
}

const toURL = "  - url: http://127.0.0.1:9/api/v1/write\n"

var sections = []section{
	{name: "url only", good: true, yaml: toURL},
	{name: "two with names", good: true, yaml: toURL + "    name: a\n" + toURL + "    name: b\n"},
	{name: "two with one name", yaml: toURL + "    name: a\n" + toURL + "    name: a\n"},
	{name: "the same twice, without names", yaml: toURL + toURL, differs: "Prometheus refuses it later, when it applies it"},
	{name: "no url", yaml: "  - name: a\n"},
	{name: "empty section", yaml: "  -\n"},
	{name: "unknown field", yaml: toURL + "    nonsense: 1\n"},
	{name: "timeout", good: true, yaml: toURL + "    remote_timeout: 1m30s\n"},
	{name: "bad timeout", yaml: toURL + "    remote_timeout: soon\n"},
	{name: "remote write 1.0", good: true, yaml: toURL + "    protobuf_message: prometheus.WriteRequest\n"},
	{name: "remote write 2.0", good: true, yaml: toURL + "    protobuf_message: io.prometheus.write.v2.Request\n"},
	{name: "unknown message", yaml: toURL + "    protobuf_message: prometheus.Nonsense\n"},
	{name: "headers", good: true, yaml: toURL + "    headers: { X-Scope-OrgID: tenant }\n"},
	{name: "reserved header", yaml: toURL + "    headers: { content-type: text/plain }\n"},
	{name: "authorization header", yaml: toURL + "    headers: { Authorization: secret }\n"},
	{name: "user agent header", yaml: toURL + "    headers: { user-agent: me }\n"},
	{name: "http headers", good: true, yaml: toURL + "    http_headers: { X-Tenant: { values: [a] } }\n"},
	{name: "reserved http header", yaml: toURL + "    http_headers: { Content-Encoding: { values: [a] } }\n"},
	{name: "relabelling", good: true, yaml: toURL + "    write_relabel_configs:\n      - { source_labels: [job], regex: a, action: drop }\n      - { target_label: x, replacement: y }\n"},
	{name: "relabelling without target", yaml: toURL + "    write_relabel_configs: [{ action: replace, source_labels: [a] }]\n"},
	{name: "bad regular expression", yaml: toURL + "    write_relabel_configs: [{ action: drop, regex: '(' }]\n"},
	{name: "null relabelling", yaml: toURL + "    write_relabel_configs: [null]\n"},
	{name: "unknown action", yaml: toURL + "    write_relabel_configs: [{ action: explode }]\n"},
	{name: "hashmod", good: true, yaml: toURL + "    write_relabel_configs: [{ action: hashmod, source_labels: [a], target_label: b, modulus: 8 }]\n"},
	{name: "hashmod without modulus", yaml: toURL + "    write_relabel_configs: [{ action: hashmod, source_labels: [a], target_label: b }]\n"},
	{name: "switches", good: true, yaml: toURL + "    send_exemplars: true\n    send_native_histograms: true\n    round_robin_dns: true\n"},
	{name: "switch that is none", yaml: toURL + "    send_exemplars: often\n"},
	{name: "queue", good: true, yaml: toURL + "    queue_config: { capacity: 5000, max_shards: 8, min_shards: 2, max_samples_per_send: 500, batch_send_deadline: 1s, min_backoff: 1s, max_backoff: 10s, retry_on_http_429: true, sample_age_limit: 1h }\n"},
	{name: "unknown queue field", yaml: toURL + "    queue_config: { size: 1 }\n"},
	{name: "no shards", yaml: toURL + "    queue_config: { max_shards: 0 }\n"},
	{name: "more least than most shards", yaml: toURL + "    queue_config: { min_shards: 5, max_shards: 2 }\n"},
	{name: "no batch", yaml: toURL + "    queue_config: { max_samples_per_send: 0 }\n"},
	{name: "no capacity", yaml: toURL + "    queue_config: { capacity: 0 }\n"},
	{name: "negative backoff", yaml: toURL + "    queue_config: { min_backoff: -1s }\n"},
	{name: "metadata", good: true, yaml: toURL + "    metadata_config: { send: false, send_interval: 5m, max_samples_per_send: 100 }\n"},
	{name: "unknown metadata field", yaml: toURL + "    metadata_config: { often: true }\n"},
	{name: "basic auth", good: true, yaml: toURL + "    basic_auth: { username: a, password: b }\n"},
	{name: "basic auth with two passwords", yaml: toURL + "    basic_auth: { username: a, password: b, password_file: c }\n"},
	{name: "bearer token", good: true, yaml: toURL + "    bearer_token: a\n"},
	{name: "authorization", good: true, yaml: toURL + "    authorization: { type: Bearer, credentials: a }\n"},
	{name: "authorization as basic", yaml: toURL + "    authorization: { type: Basic, credentials: a }\n"},
	{name: "two kinds of auth", yaml: toURL + "    basic_auth: { username: a, password: b }\n    authorization: { credentials: a }\n"},
	{name: "bearer token twice", yaml: toURL + "    bearer_token: a\n    bearer_token_file: b\n"},
	{name: "oauth2", good: true, yaml: toURL + "    oauth2: { client_id: a, client_secret: b, token_url: 'http://127.0.0.1:9/token', scopes: [x] }\n"},
	{name: "oauth2 without token url", yaml: toURL + "    oauth2: { client_id: a, client_secret: b }\n"},
	{name: "oauth2 beside basic auth", yaml: toURL + "    oauth2: { client_id: a, client_secret: b, token_url: 'http://127.0.0.1:9/token' }\n    basic_auth: { username: a }\n"},
	{name: "tls", good: true, yaml: toURL + "    tls_config: { insecure_skip_verify: true, server_name: x, min_version: TLS12 }\n"},
	{name: "tls version", yaml: toURL + "    tls_config: { min_version: TLS99 }\n"},
	{name: "tls key without certificate", yaml: toURL + "    tls_config: { key: a }\n"},
	{name: "unknown tls field", yaml: toURL + "    tls_config: { secure: very }\n"},
	{name: "proxy", good: true, yaml: toURL + "    proxy_url: http://127.0.0.1:9\n    no_proxy: localhost\n"},
	{name: "no_proxy without proxy", yaml: toURL + "    no_proxy: localhost\n"},
	{name: "two proxies", yaml: toURL + "    proxy_url: http://127.0.0.1:9\n    proxy_from_environment: true\n"},
	{name: "http client", good: true, yaml: toURL + "    follow_redirects: false\n    enable_http2: true\n"},
	{
		name: "sigv4", yaml: toURL + "    sigv4: { region: eu-west-1, access_key: a, secret_key: b }\n",
		differs: "pushbridge is built without it unless one asks for it, and says so",
	},
	{name: "sigv4 with half a key", yaml: toURL + "    sigv4: { region: eu-west-1, access_key: a }\n"},
	{name: "sigv4 beside basic auth", yaml: toURL + "    sigv4: { region: eu-west-1 }\n    basic_auth: { username: a }\n"},
	{
		name: "azuread", yaml: toURL + "    azuread: { cloud: AzurePublic, managed_identity: { client_id: 00000000-0000-0000-0000-000000000000 } }\n",
		differs: "pushbridge is built without it, and says so",
	},
	{
		name: "url without a scheme", yaml: "  - url: example\n",
		differs: "pushbridge refuses at the start what could never be sent",
	},
	{
		name: "convert_nhcb_to_classic", good: true, yaml: toURL + "    convert_nhcb_to_classic: true\n",
		differs: "a field of a newer Prometheus than the one compared with",
	},
}

// TestSameVerdictAsPrometheus gives remote_write sections to pushbridge and to
// Prometheus' own configuration package.
func TestSameVerdictAsPrometheus(t *testing.T) {
	for _, s := range sections {
		t.Run(s.name, func(t *testing.T) {
			text := "remote_write:\n" + s.yaml
			_, err := config.Load(text, slog.New(slog.DiscardHandler))
			if theirs := err == nil; (theirs == s.good) != (s.differs == "") {
				t.Errorf("Prometheus says good: %t (%v), the table says %t, known difference: %q", theirs, err, s.good, s.differs)
			}
			good, said := checkConfig(t, text)
			if good != s.good {
				t.Errorf("pushbridge says good: %t, want %t; Prometheus: %v\n%s", good, s.good, err, said)
			}
			if !good && strings.TrimSpace(said) == "" {
				t.Error("pushbridge does not say why")
			}
		})
	}
}

// checkConfig asks pushbridge about a file.
func checkConfig(t *testing.T, text string) (good bool, said string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(context.Background(), pushbridgePath, "check-config", file).CombinedOutput()
	return err == nil, string(out)
}
