package remotewrite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"
)

func parseConfig(t testing.TB, text string) (*Config, error) {
	t.Helper()
	c := &Config{}
	err := yaml.UnmarshalStrict([]byte(text), c)
	return c, err
}

const fullSection = `
url: https://user:hunter2@mimir.example/api/v1/push
name: mimir
protobuf_message: io.prometheus.write.v2.Request
remote_timeout: 20s
headers: {X-Scope-OrgID: a}
write_relabel_configs:
- {source_labels: [a, b], regex: x, action: drop}
send_exemplars: true
send_native_histograms: true
round_robin_dns: true
convert_nhcb_to_classic: true
failed_request_logging: true
queue_config:
  capacity: 1
  max_shards: 2
  min_shards: 1
  max_samples_per_send: 3
  batch_send_deadline: 1s
  min_backoff: 1ms
  max_backoff: 2ms
  retry_on_http_429: false
  sample_age_limit: 1h
metadata_config: {send: false, send_interval: 2m, max_samples_per_send: 4}
tls_config: {insecure_skip_verify: true, min_version: TLS12}
proxy_url: http://proxy.example
no_proxy: localhost
proxy_connect_header: {X: [y]}
http_headers: {X-Other: {values: [v], secrets: [hunter4]}}
follow_redirects: false
enable_http2: true
oauth2: {client_id: i, client_secret: hunter3, token_url: http://t.example, scopes: [a], endpoint_params: {b: c}}
`

func TestConfigTakesEveryField(t *testing.T) {
	c, err := parseConfig(t, fullSection)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Name, c.ProtobufMessage, c.RemoteTimeout, c.SendExemplars, c.SendNativeHistograms, c.RoundRobinDNS,
		c.Queue, c.Metadata, c.HTTPClient.EnableHTTP2, c.HTTPClient.FollowRedirects, c.HTTPClient.OAuth2.ClientID)
	want := "mimir" + "io.prometheus.write.v2.Request" + "20s true true true {1 2 1 3 1s 1ms 2ms false 1h} {false 2m 4} true falsei"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	unused := []string{"convert_nhcb_to_classic", "failed_request_logging"}
	if diff := cmp.Diff(unused, c.Unused()); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
}

func TestConfigDefaults(t *testing.T) {
	c, err := parseConfig(t, "url: http://h/")
	if err != nil {
		t.Fatal(err)
	}
	want := QueueConfig{
		Capacity: 10000, MaxShards: 50, MinShards: 1, MaxSamplesPerSend: 2000,
		BatchSendDeadline: DefaultBatchSendDeadline, MinBackoff: model.Duration(30 * time.Millisecond),
		MaxBackoff: model.Duration(5 * time.Second), RetryOnRateLimit: true,
	}
	if diff := cmp.Diff(want, c.Queue); diff != "" {
		t.Errorf("queue_config (-want +got):\n%s", diff)
	}
	meta := MetadataConfig{Send: true, SendInterval: model.Duration(time.Minute), MaxSamplesPerSend: 2000}
	if diff := cmp.Diff(meta, c.Metadata); diff != "" {
		t.Errorf("metadata_config (-want +got):\n%s", diff)
	}
	if c.HTTPClient.EnableHTTP2 || !c.HTTPClient.FollowRedirects || c.ProtobufMessage != Negotiate || time.Duration(c.RemoteTimeout) != 30*time.Second {
		t.Errorf("got %+v", c)
	}
	same := DefaultConfig(c.URL)
	if !reflect.DeepEqual(&same, c) {
		t.Errorf("DefaultConfig: %+v, parsed: %+v", same, c)
	}
	if len(c.Unused()) > 0 {
		t.Errorf("unused: %v", c.Unused())
	}
}

func TestShardsAreClamped(t *testing.T) {
	for _, row := range []struct{ minimum, maximum, want int }{{1, 50, 4}, {1, 2, 2}, {8, 50, 8}, {1, 1, 1}, {4, 4, 4}} {
		q := QueueConfig{MinShards: row.minimum, MaxShards: row.maximum}
		if got := q.shards(); got != row.want {
			t.Errorf("%+v: got %d", row, got)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"no url":               {"name: a", "url for remote_write is empty"},
		"empty url":            {"url: ''", "url for remote_write is empty"},
		"no scheme":            {"url: host:9090", "scheme must be http or https"},
		"no host":              {"url: http:///x", "no host"},
		"unknown field":        {"url: http://h\nurll: x", "field urll not found"},
		"message":              {"url: http://h\nprotobuf_message: v3", `protobuf_message "v3"`},
		"timeout":              {"url: http://h\nremote_timeout: 0s", "remote_timeout must be positive"},
		"null rule":            {"url: http://h\nwrite_relabel_configs: [null]", "write_relabel_configs: empty or null rule"},
		"bad rule":             {"url: http://h\nwrite_relabel_configs: [{action: hashmod, target_label: a}]", "write_relabel_configs: rule 1"},
		"bad regex":            {"url: http://h\nwrite_relabel_configs: [{regex: '('}]", "missing closing"},
		"shards":               {"url: http://h\nqueue_config: {max_shards: 0}", "queue_config: max_shards must be positive"},
		"min over max":         {"url: http://h\nqueue_config: {min_shards: 51}", "queue_config: min_shards must not be greater than max_shards"},
		"batch":                {"url: http://h\nqueue_config: {max_samples_per_send: -1}", "queue_config: max_samples_per_send must be positive"},
		"capacity":             {"url: http://h\nqueue_config: {capacity: 0}", "queue_config: capacity must be positive"},
		"backoff":              {"url: http://h\nqueue_config: {max_backoff: 1ms}", "queue_config: max_backoff must not be less than min_backoff"},
		"metadata interval":    {"url: http://h\nmetadata_config: {send_interval: 0s}", "metadata_config: send_interval must be positive"},
		"metadata batch":       {"url: http://h\nmetadata_config: {max_samples_per_send: 0}", "metadata_config: max_samples_per_send must be positive"},
		"authorization header": {"url: http://h\nheaders: {authorization: x}", "headers: Authorization must be set by"},
		"reserved header":      {"url: http://h\nheaders: {content-TYPE: x}", "headers: content-TYPE is a reserved header"},
		"reserved http_header": {"url: http://h\nhttp_headers: {X-Amz-Date: {values: [x]}}", `setting header "X-Amz-Date" is not allowed`},
		"lines in a header":    {"url: http://h\nheaders: {X-Scope-OrgID: \"a\\n\"}", "headers: the value of X-Scope-OrgID has a line end"},
		"lines in a token":     {"url: http://h\nauthorization: {credentials: \"a\\n\"}", "authorization: credentials has a line end"},
		"lines in bearer":      {"url: http://h\nbearer_token: \"a\\r\"", "authorization: credentials has a line end"},
		"lines in values":      {"url: http://h\nhttp_headers: {X-A: {values: [x, \"a\\n\"]}}", "http_headers: a value of X-A has a line end"},
		"lines in secrets":     {"url: http://h\nhttp_headers: {X-A: {secrets: [\"a\\x00\"]}}", "http_headers: a secret of X-A has a line end"},
		"two auth methods":     {"url: http://h\nbasic_auth: {username: u}\nsigv4: {region: r}", "at most one of"},
		"two ways of basic":    {"url: http://h\nbasic_auth: {username: u, password: p, password_file: f}", "at most one of basic_auth password"},
		"sigv4 key":            {"url: http://h\nsigv4: {regoin: r}", "field regoin not found"},
		"azuread":              {"url: http://h\nazuread: {cloud: AzurePublic}", "azuread: not part of this build"},
		"google_iam":           {"url: http://h\ngoogle_iam: {credentials_file: f}", "google_iam: not part of this build"},
		"proxy":                {"url: http://h\nno_proxy: x", "if no_proxy is configured, proxy_url must also be configured"},
		"duration":             {"url: http://h\nremote_timeout: 5", "not a valid duration string"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig(t, row.text)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestReservedHeadersAreRefused(t *testing.T) {
	for _, h := range []string{
		"Host", "Content-Encoding", "Content-Length", "Content-Type", "User-Agent", "Connection", "Keep-Alive",
		"Proxy-Authenticate", "Proxy-Authorization", "WWW-Authenticate", "Accept-Encoding",
		"X-Prometheus-Remote-Write-Version", "X-Prometheus-Remote-Read-Version", "X-Prometheus-Scrape-Timeout-Seconds",
		"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Authorization",
	} {
		for _, field := range []string{"headers: {%s: x}", "http_headers: {%s: {values: [x]}}"} {
			if _, err := parseConfig(t, "url: http://h\n"+fmt.Sprintf(field, strings.ToLower(h))); err == nil {
				t.Errorf("%s was taken in "+field, h, h)
			}
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c, err := parseConfig(t, fullSection)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "url", c.Redacted(), "config", string(text))
	if strings.Contains(b.String(), "hunter") {
		t.Errorf("shown: %s", b.String())
	}
	if got := c.Redacted(); got != "https://user:xxxxx@mimir.example/api/v1/push" {
		t.Errorf("url %s", got)
	}
}

// TestSecretsOfMistypedURLsAreNotShown has URLs that are no destination, and so
// stand in an error.
func TestSecretsOfMistypedURLsAreNotShown(t *testing.T) {
	for _, row := range []struct{ given, shown string }{
		{"user:hunter2@h:9090/write", "xxxxx@h:9090/write"},
		{"http:/user:hunter2@h/write", "xxxxx@h/write"},
		{"user:hunter2@h?token=hunter2", "xxxxx@h?token=xxxxx"},
		{"ftp://user:hunter2@h/", "ftp://user:xxxxx@h/"},
		{"h/write", "h/write"},
		{"h/@me", "xxxxx@me"},
	} {
		u, err := url.Parse(row.given)
		if err != nil {
			t.Fatal(err)
		}
		if got := RedactURL(u); got != row.shown {
			t.Errorf("%s is shown as %s, want %s", row.given, got, row.shown)
		}
	}
}

func TestIDStaysWithThePlace(t *testing.T) {
	id := func(text string) string {
		t.Helper()
		c, err := parseConfig(t, text)
		if err != nil {
			t.Fatal(err)
		}
		return c.ID()
	}
	base := id("url: http://h/write")
	for name, row := range map[string]struct {
		text string
		same bool
	}{
		"timeout":        {"url: http://h/write\nremote_timeout: 1s", true},
		"password":       {"url: http://:pw@h/write", false}, // a user, if an empty one
		"rules":          {"url: http://h/write\nwrite_relabel_configs: [{action: labeldrop, regex: x}]", true},
		"other header":   {"url: http://h/write\nheaders: {X-Key: a}", true},
		"tenant":         {"url: http://h/write\nheaders: {X-Scope-OrgID: a}", false},
		"thanos tenant":  {"url: http://h/write\nheaders: {THANOS-TENANT: a}", false},
		"tenant, http_*": {"url: http://h/write\nhttp_headers: {X-Scope-OrgID: {values: [a]}}", false},
		"path":           {"url: http://h/other", false},
		"name":           {"url: http://h/write\nname: n", false},
	} {
		if got := id(row.text); (got == base) != row.same {
			t.Errorf("%s: %s against %s", name, got, base)
		}
	}
	if a, b := id("url: http://u:one@h/"), id("url: http://u:two@h/"); a != b {
		t.Error("a new password makes a new destination")
	}
	if a, b := id("url: http://h/\nname: n"), id("url: http://other/\nname: n"); a != b {
		t.Error("a name does not make the destination")
	}
}

// URLs that mean the same are the same destination, and one that an earlier
// version called by its spelling is found by that.
func TestIDOfURL(t *testing.T) {
	section := func(url string) *Config {
		t.Helper()
		c, err := parseConfig(t, "url: '"+url+"'")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	spelled := func(url string) string {
		sum := sha256.Sum256([]byte(url)) // how ids were made when spelling counted
		return "url-" + hex.EncodeToString(sum[:8])
	}
	for _, row := range []struct {
		url  string
		same []string
	}{
		{"http://h:9090/api/v1/write", []string{
			"http://h:9090/api/v1/write/", "http://h:9090//api/v1//write", "HTTP://H:9090/api/v1/write",
			"http://h:9090/api/v1/write#x", "http://h:9090/api/v1/write?",
		}},
		{"http://h/write", []string{"http://h:80/write", "http://h:/write/"}},
		{"https://h/write?a=b", []string{"https://h:443/write?a=b", "https://h/write/?a=b#"}},
		{"http://[::1]/w", []string{"http://[::1]:80/w"}},
		{"http://h", []string{"http://h/", "http://h//"}},
		{"http://h/a%2Fb", []string{"http://h/a%2Fb/"}},
		{"http://h:443/write", nil},
		{"https://h:80/write", nil},
		{"http://h/write?a=B", nil},
		{"http://h/Write", nil},
		{"http://h/a/b", nil},
		{"http://u@h/write", nil},
	} {
		c := section(row.url)
		if got := c.FormerIDs(); !slices.Equal(got, []string{spelled(row.url)}) {
			t.Errorf("%s was called %v, want as ever %s", row.url, got, spelled(row.url))
		}
		for _, other := range row.same {
			o := section(other)
			if o.ID() != c.ID() {
				t.Errorf("%s and %s are two destinations: %s and %s", row.url, other, c.ID(), o.ID())
			}
			was := slices.Compact([]string{spelled(row.url), spelled(o.URL.String())})
			if diff := cmp.Diff(was, o.FormerIDs()); diff != "" {
				t.Errorf("%s was called (-want +got):\n%s", other, diff)
			}
		}
	}
}

// A destination without a name is called by host and path, wherever it is named, and
// by nothing that is secret.
func TestDefaultName(t *testing.T) {
	long := strings.Repeat("/a", 60)
	for _, row := range []struct{ section, want string }{
		{"url: http://h:9090/api/v1/write", "h:9090/api/v1/write"},
		{"url: https://H:443/api//v1/write/", "h/api/v1/write"},
		{"url: http://h", "h"},
		{"url: 'http://[::1]:9090/w'", "[::1]:9090/w"},
		{"url: http://h/a%2Fb", "h/a%2Fb"},
		{"url: 'http://user:secret@h/w?token=secret'", "h/w-7039d5"},
		{"url: 'http://h/w?a=b'", "h/w-faca45"},
		{"url: 'http://h/w'\nheaders: {X-Scope-OrgID: secret}", "h/w-487de2"},
		{"url: 'http://h/w'\nheaders: {X-Other: a}", "h/w"},
		{"url: 'http://h" + long + "'", "h" + long[:99] + "-fa56c6"},
		{"url: http://h/w\nname: mine", "mine"},
	} {
		c, err := parseConfig(t, row.section)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ID(); got != row.want {
			t.Errorf("%s: got %s, want %s", row.section, got, row.want)
		}
	}
}

// Sections that need a number to be told apart go on where they were under the names
// that earlier versions gave them.
func TestFormerNames(t *testing.T) {
	var all []*Config
	for _, text := range []string{
		"url: http://h/w", "url: http://h/w\nsend_exemplars: true", "url: https://h/w", "url: http://h/w\nname: h/w-2",
		"url: http://h/w/\nremote_timeout: 5s", "url: http://h/w?a=b",
	} {
		c, err := parseConfig(t, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for range 2 { // a file, and the flags behind it
		if err := Name(all); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string][]string{}
	for _, c := range all {
		got[c.ID()] = c.FormerIDs()
	}
	want := map[string][]string{
		"h/w":        {"url-d97879b31465862a"},
		"h/w-3":      {"d97879-2"},
		"h/w-4":      {"url-68a15d951a10e8bd"},
		"h/w-2":      nil,
		"h/w-5":      {"800dc3-3"},
		"h/w-faca45": {"url-faca45faf3d6f73b"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNameTellsSectionsApart(t *testing.T) {
	var all []*Config
	for _, text := range []string{
		"url: http://h/", "url: http://h/\nsend_exemplars: true", "url: http://h/\nname: x", "url: http://other/",
		"url: http://h/\nremote_timeout: 5s", "url: http://h/\nremote_timeout: 6s",
	} {
		c, err := parseConfig(t, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if err := Name(all); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, c := range all {
		ids[c.ID()] = true
	}
	if len(ids) != len(all) {
		t.Errorf("ids %v", ids)
	}
	again, err := parseConfig(t, "url: http://other/")
	if err != nil {
		t.Fatal(err)
	}
	if err := Name(append(all, again)); err == nil || !strings.Contains(err.Error(), "sections 4 and 7 are the same") {
		t.Errorf("two that are the same: %v", err)
	}
	all[3].Name = "x"
	if err := Name(all); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("two of one name: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(fullSection)
	f.Add("url: http://h/")
	f.Add("url: http://h/\nqueue_config:\n")
	f.Add("url: http://h/\nwrite_relabel_configs: [{}]")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig(t, text)
		if err != nil || reflect.ValueOf(*c).IsZero() { // an empty document decodes nothing
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("valid once, and then: %v", err)
		}
		if c.ID() == "" || c.Shards() < 1 {
			t.Errorf("%q %d", c.ID(), c.Shards())
		}
	})
}
