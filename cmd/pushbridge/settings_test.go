package main

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// readArgs reads arguments as the binary does, but for the serving.
func readArgs(t *testing.T, args ...string) (*settings, error) {
	t.Helper()
	var s *settings
	command := serveCommand()
	command.Action = func(c *cli.Context) (err error) {
		s, err = readSettings(c)
		return err
	}
	err := runCommand(t.Context(), []*cli.Command{command}, args, func(string) string { return "" }, t.Output(), t.Output())
	return s, err
}

func TestDefaults(t *testing.T) {
	s, err := readArgs(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"listen address", s.listenAddresses, []string{":9091"}},
		{"telemetry path", s.telemetryPath, "/metrics"},
		{"route prefix", s.routePrefix, ""},
		{"persistence interval", s.persistenceInterval, 5 * time.Minute},
		{"destinations", len(s.remoteWriteURLs), 0},
		{"refresh interval", s.refreshInterval, time.Minute},
		{"storage path", s.storagePath, "data/"},
		{"storage path is the default", s.storagePathSet, false},
		{"fsync", s.fsync, disk.Always},
		{"max bytes", s.maxBytes, int64(10 << 30)},
		{"max body", s.limits.MaxBodyBytes, int64(64 << 20)},
		{"on full", s.onFull, queue.DropOldest},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

// TestPushgatewayFlags: a start script of Pushgateway finds all of its flags.
func TestPushgatewayFlags(t *testing.T) {
	if _, err := readArgs(t, "--web.listen-address=:9091", "--web.systemd-socket", "--web.config.file=", "--web.telemetry-path=/metrics",
		"--web.external-url=", "--web.route-prefix=", "--web.enable-lifecycle", "--web.enable-admin-api", "--persistence.file=",
		"--persistence.interval=5m", "--push.disable-consistency-check", "--push.enable-utf8-names", "--log.level=info",
		"--log.format=logfmt"); err != nil {
		t.Error(err)
	}
}

func TestReadSettings(t *testing.T) {
	s, err := readArgs(t, "--web.listen-address=:1", "--web.listen-address", "h:2", "--web.external-url=http://h/a/b/",
		"--storage.path=data/", "--storage.max-bytes=0", "--storage.fsync=off", "--push.ttl=1d", "--push.max-groups=7",
		"--remote-write.url=http://u:pw@h/w?a=1,2", "--no-web.enable-admin-api", "--web.enable-lifecycle")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{":1", "h:2"}, s.listenAddresses); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"http://u:pw@h/w?a=1,2"}, s.remoteWriteURLs); diff != "" {
		t.Error("a comma separates nothing:", diff)
	}
	if s.routePrefix != "/a/b" || !s.storagePathSet || s.maxBytes != -1 || s.fsync != disk.Off || s.ttl != 24*time.Hour ||
		s.limits.MaxGroups != 7 || !s.enableLifecycle || s.enableAdminAPI {
		t.Errorf("got %+v", s)
	}
	for name, want := range map[string]string{
		"web.listen-address":   ":1,h:2",
		"web.route-prefix":     "/a/b",
		"web.enable-lifecycle": "true",
		"web.enable-admin-api": "false",
		"persistence.file":     "",
		"persistence.interval": "5m0s",
		"push.ttl":             "24h0m0s",
		"remote-write.url":     "http://u:xxxxx@h/w?a=xxxxx",
		"push.max-groups":      "7",
	} {
		if got, ok := s.values[name]; !ok || got != want {
			t.Errorf("status shows %s as %q, want %q", name, got, want)
		}
	}
	for _, hidden := range []string{"help", "version", "test.clock-offset-file"} {
		if _, ok := s.values[hidden]; ok {
			t.Errorf("status shows %s", hidden)
		}
	}
}

func TestReadSettingsRefuses(t *testing.T) {
	f := func(arg, want string) {
		t.Helper()
		if _, err := readArgs(t, arg); err == nil || err.Error() != want+", try --help" {
			t.Errorf("%s\n got %v\nwant %s, try --help", arg, err, want)
		}
	}
	f("--web.telemetry-path=", `--web.telemetry-path: "" must begin with a slash`)
	f("--web.telemetry-path=/status/", `--web.telemetry-path: "/status/" is the path of something else`)
	f("--web.telemetry-path=/", `--web.telemetry-path: "/" is the path of something else`)
	f("--web.telemetry-path=/{x}", `--web.telemetry-path: "/{x}" must not contain braces or blanks`)
	f("--web.route-prefix=/a b", `--web.route-prefix: "/a b" must not contain braces or blanks`)
	f("--web.external-url=http://[", `--web.external-url: parse "http://[": missing ']' in host`)
	f("--push.max-groups=-1", "--push.max-groups: must not be negative, is -1")
	f("--push.max-groups=x", `invalid value "x" for flag --push.max-groups: parse error`)
	f("--push.max-body-bytes=0", "--push.max-body-bytes: must be at least 1, is 0")
	f("--push.ttl=-1s", "--push.ttl: must be at least 0s, is -1s")
	f("--refresh.interval=1ms", "--refresh.interval: must be 0 or at least 1s, is 1ms")
	f("--storage.fsync-interval=0s", "--storage.fsync-interval: must be at least 1ms, is 0s")
	f("--storage.max-bytes=-1", "--storage.max-bytes: must be at least 0, is -1")
	f("--remote-write.url=localhost:9090", `--remote-write.url: "localhost:9090" must be of the form http://host:port/path`)
	f("--log.format=xml", "--log.format: unrecognized log format xml")
}

func TestExternalPath(t *testing.T) {
	if got := externalPath(nil) + externalPath(&url.URL{}); got != "" {
		t.Errorf("without an external URL: %q", got)
	}
	for external, want := range map[string]string{
		"http://h": "/", "http://h/": "/", "http://h/pg": "/pg/", "http://h/pg/": "/pg/", "http://h/a/b c": "/a/b%20c/",
	} {
		u, err := url.Parse(external)
		if err != nil {
			t.Fatal(err)
		}
		if got := externalPath(u); got != want {
			t.Errorf("%s: got %q, want %q", external, got, want)
		}
	}
}

func TestRoutePrefix(t *testing.T) {
	f := func(given, external, want string) {
		t.Helper()
		u, err := url.Parse(external)
		if err != nil {
			t.Fatal(err)
		}
		if got := routePrefix(given, u); got != want {
			t.Errorf("%q below %q: got %q, want %q", given, external, got, want)
		}
	}
	f("", "", "")
	f("", "http://h", "")
	f("", "http://h/", "")
	f("", "http://h/a/", "/a")
	f("/", "http://h/a/", "")
	f("b", "http://h/a/", "/b")
	f("/b/c/", "", "/b/c")
}
