package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A whole prometheus.yml, with what pushbridge uses and what it does not.
const wholeFile = `
global:
  scrape_interval: 15s
  external_labels: {cluster: east, zone: "${PUSHBRIDGE_TEST_ZONE}", price: $$5}
rule_files: ["rules/*.yml"]
scrape_configs:
  - job_name: pushgateway
    honor_labels: true
    static_configs: [{targets: ["localhost:9091"]}]
remote_write:
  - url: https://user:secret1@mimir/api/v1/push
    name: mimir
    headers: {X-Scope-OrgID: team}
    basic_auth: {username: u, password_file: secrets/pw}
    queue_config: {batch_send_deadline: 1s, max_shards: 2}
    failed_request_logging: true
    write_relabel_configs:
      - {source_labels: [job], regex: "debug.*", action: drop}
  - url: http://prometheus/api/v1/write
pushbridge: {}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushbridge.yml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadConfig(t *testing.T) {
	t.Setenv("PUSHBRIDGE_TEST_ZONE", "z1")
	file := writeConfig(t, wholeFile)
	c, err := Load(t.Context(), file, []string{"http://flag:9090/api/v1/write?a=1"})
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, d := range c.Destinations {
		urls = append(urls, d.Redacted())
	}
	if diff := cmp.Diff([]string{
		"https://user:xxxxx@mimir/api/v1/push",
		"http://prometheus/api/v1/write",
		"http://flag:9090/api/v1/write?a=xxxxx",
	}, urls); diff != "" {
		t.Errorf("destinations (-want +got)\n%s", diff)
	}
	if got, want := c.ExternalLabels.String(), `{cluster="east", price="$5", zone="z1"}`; got != want {
		t.Errorf("external labels: got %s, want %s", got, want)
	}
	if got, want := c.Destinations[0].HTTPClient.BasicAuth.PasswordFile, filepath.Join(filepath.Dir(file), "secrets/pw"); got != want {
		t.Errorf("relative file name: got %s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{
		"rule_files", "scrape_configs", "global.scrape_interval", "remote_write.mimir.failed_request_logging",
	}, c.Ignored); diff != "" {
		t.Errorf("ignored (-want +got)\n%s", diff)
	}
}

func TestLoadConfigOfNothing(t *testing.T) {
	c, err := Load(t.Context(), "", nil)
	if err != nil || len(c.Destinations) != 0 {
		t.Errorf("no file: got %+v, %v", c, err)
	}
	c, err = Load(t.Context(), writeConfig(t, "# nothing\n"), nil)
	if err != nil || len(c.Destinations) != 0 {
		t.Errorf("empty file: got %+v, %v", c, err)
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
	}{
		{"unknown key", "remote_wrote: []\n", `line 1: unknown field "remote_wrote"`},
		{"unknown field of global", "global:\n  external_label: {}\n", `line 2: unknown field "external_label"`},
		{"unknown field of ours", "pushbridge:\n  x: 1\n", `line 2: unknown field "x"`},
		{
			"unknown field of a section", "remote_write:\n- url: http://a/\n- url: http://b/\n  nam: x\n",
			`line 4: unknown field "nam"`,
		},
		{
			"several", "remote_write:\n- url: http://a/\n  nam: x\n- url: http://b/\n  queue_config: {shards: 1}\n",
			`line 3: unknown field "nam"; line 5: unknown field "shards"`,
		},
		{"wrong type", "remote_write:\n- url: http://a/\n  headers: 5\n", "line 3: cannot unmarshal !!int into map[string]string"},
		{"no YAML", "remote_write: [\n", "yaml: line 1: did not find expected node content"},
		{
			"no blank behind a colon", "remote_write:\n- {url: http://a/, basic_auth: {username: u, password:secret}}\n",
			`line 2: unknown field: "password" needs a colon and a blank behind it`,
		},
		{
			"no colon", "remote_write:\n- {url: http://a/, basic_auth: {username: u, password secret}}\n",
			`line 2: unknown field: "password" needs a colon and a blank behind it`,
		},
		{
			"no scheme", "remote_write:\n- url: u:secret@h/write\n",
			`line 2: remote_write, section 1: url "xxxxx@h/write": scheme must be http or https`,
		},
		{"key twice", "global: {}\nglobal: {}\n", `line 2: field "global" is given twice`},
		{"label twice", "global:\n  external_labels:\n    a: 1\n    a: 2\n", `line 4: field "a" is given twice`},
		{"no list", "remote_write: {url: http://a/}\n", "line 1: cannot unmarshal !!map into a list"},
		{"empty section", "remote_write:\n- url: http://a/\n-\n", "remote_write, section 2: is empty"},
		{"no url", "remote_write:\n- name: a\n", "line 2: remote_write, section 1 (a): url for remote_write is empty"},
		{
			"name twice", "remote_write:\n- {url: http://a/, name: x}\n- {url: http://b/, name: x}\n",
			`remote_write: found two sections with the name "x"`,
		},
		{"url with a password", "remote_write:\n- url: http://u:secret%zz@h/\n", "line 2: remote_write, section 1: not a URL"},
		{"bad label name", "global:\n  external_labels: {'': x}\n", `line 2: global.external_labels: "" is not a label name`},
		{"metric name as label", "global:\n  external_labels: {__name__: x}\n", `line 2: global.external_labels: "__name__" is not a label name`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeConfig(t, tt.text)
			_, err := Load(t.Context(), file, nil)
			if err == nil {
				t.Fatalf("accepted; want %s", tt.want)
			}
			if got := strings.TrimPrefix(err.Error(), "configuration file "+file+": "); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestFlagsBesideAFile(t *testing.T) {
	file := writeConfig(t, "remote_write:\n- url: http://a/\n")
	c, err := Load(t.Context(), file, []string{"http://b/"})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := c.Destinations[0].ID(), c.Destinations[1].ID(); a == b {
		t.Errorf("two URLs have one cursor: %s", a)
	}
	if _, err := Load(t.Context(), file, []string{"http://a/"}); err == nil {
		t.Error("the same URL was taken twice")
	}
	for _, u := range []string{"http://u:secret%zz@h/", "ftp://u:secret@h/"} {
		if _, err := Load(t.Context(), "", []string{u}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", u, err)
		}
	}
}

// TestErrorsShowNoValue puts a password where none belongs, or as YAML does not
// want it.
func TestErrorsShowNoValue(t *testing.T) {
	const notHere = "line 3: a value of type !!%s cannot stand here"
	for text, want := range map[string]string{
		"basic_auth: hunter2":                                            fmt.Sprintf(notHere, "str"),
		"basic_auth: hunter2 and much more":                              fmt.Sprintf(notHere, "str"),
		"basic_auth: \"a`hunter2 \\n`b\"":                                fmt.Sprintf(notHere, "str"),
		"basic_auth: 2026":                                               fmt.Sprintf(notHere, "int"),
		"basic_auth: {username: u, password: [hunter2]}":                 fmt.Sprintf(notHere, "seq"),
		"basic_auth: !hunter2 x":                                         "line 3: a value with a tag cannot stand here",
		"basic_auth: !!float hunter2":                                    "line 2: remote_write, section 1: yaml: cannot decode !!str as its tag says",
		"authorization: hunter2":                                         fmt.Sprintf(notHere, "str"),
		"oauth2: {client_id: a, client_secret: {hunter2: }}":             fmt.Sprintf(notHere, "map"),
		"sigv4: hunter2":                                                 fmt.Sprintf(notHere, "str"),
		"headers: hunter2":                                               "line 3: cannot unmarshal !!str into map[string]string",
		"http_headers: {X-Token: {secrets: hunter2}}":                    "line 3: cannot unmarshal !!str into a list",
		"write_relabel_configs: hunter2\npushbridge: {destinations: {}}": "line 3: cannot unmarshal !!str into a list; line 4: cannot unmarshal !!map into a list",
		"http_headers: {X-Token: hunter2}":                               fmt.Sprintf(notHere, "str"),
		"bearer_token: *hunter2":                                         "yaml: a value that begins with * needs quotes",
		"bearer_token: {{hunter2}}":                                      fmt.Sprintf(notHere, "map"),
		"proxy_url: 'http://u:hunter2%zz@proxy'":                         "line 2: remote_write, section 1: not a URL",
		"bearer_token: x\nscrape_configs: [{params: {{hunter2}}}]":       "yaml: a name in braces is no text: a value that begins with { needs quotes",
	} {
		file := writeConfig(t, "remote_write:\n- url: http://a/\n  "+text+"\n")
		_, err := Load(t.Context(), file, nil)
		if err == nil {
			t.Errorf("%s: accepted", text)
			continue
		}
		if got := strings.TrimPrefix(err.Error(), "configuration file "+file+": "); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// TestOneDocument has what stands behind the first document of a file: it was not read, and
// a gateway that was started with it sent to nobody.
func TestOneDocument(t *testing.T) {
	const section = "remote_write: [{url: 'http://a/'}]\n"
	for _, tt := range []struct {
		text string
		ok   bool
	}{
		{"---\n" + section, true},
		{"---\n# nothing\n---\n" + section, false},
		{section + "---\n", true},
		{section + "---\n# nothing\n...\n", true},
		{section + "---\npushbridge: {rules: []}\n", false},
		{section + "---\n{{\n", false},
	} {
		c, err := Load(t.Context(), writeConfig(t, tt.text), nil)
		if tt.ok != (err == nil) {
			t.Errorf("%q: got %v", tt.text, err)
		}
		if err == nil && len(c.Destinations) != 1 {
			t.Errorf("%q: %d destinations", tt.text, len(c.Destinations))
		}
	}
}
