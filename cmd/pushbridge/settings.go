package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/queue/jetstream"
	"github.com/pushbridge/pushbridge/remotewrite"
)

// settings is what the flags of the gateway say, read and checked.
type settings struct {
	listenAddresses   []string
	listenAddressFile string
	systemdSocket     bool
	webConfigFile     string
	healthWithoutAuth bool
	telemetryPath     string
	externalURL       *url.URL
	routePrefix       string // empty, or with a slash in front and none behind
	readTimeout       time.Duration
	maxScrapes        int // 0: any number
	enableLifecycle   bool
	enableAdminAPI    bool

	persistenceFile     string
	persistenceInterval time.Duration

	disableConsistency bool
	enableUTF8         bool
	acceptTimestamps   bool
	maxAge             time.Duration
	ttl                time.Duration // 0: none
	limits             ingest.Limits
	shapeCacheBytes    int64
	refusedBytes       int64

	remoteWriteURLs []string
	configFile      string
	refreshInterval time.Duration // 0: no refresh
	refreshBackfill bool

	tee teeSettings

	storagePath     string
	storagePathSet  bool // by flag or environment, not by default
	fsync           disk.FsyncMode
	fsyncInterval   time.Duration
	maxBytes        int64 // -1: no bound
	deadLetters     int64 // 0: none
	minFreeBytes    int64 // -1: no bound, 0: the queue's default
	onFull          queue.OnFull
	orphanRetention time.Duration // 0: none
	resetClock      bool

	stream  jetstream.Options // without URLs the log is in storagePath
	replica replicaSettings

	autoMemoryLimit bool
	memoryRatio     float64
	shutdownTimeout time.Duration
	clockOffsetFile string
	log             promslog.Config

	// values holds every visible flag by name, as text, for the status API.
	values map[string]string
}

// readSettings reads the flags; the error names each that cannot work.
func readSettings(c *cli.Context) (*settings, error) {
	r := flagReader{c: c}
	s := &settings{}
	s.readWeb(&r)
	s.readPush(&r)
	s.readSend(&r)
	s.tee.read(&r)
	s.readStorage(&r)
	s.readStream(&r)
	s.readReplica(&r)
	s.readMemory(&r)
	s.shutdownTimeout = r.duration(flagShutdownTimeout, 0)
	s.clockOffsetFile = c.String(flagClockOffsetFile)
	s.log = promslog.Config{Level: promslog.NewLevel(), Format: promslog.NewFormat()}
	r.set(flagLogLevel, s.log.Level.Set)
	r.set(flagLogFormat, s.log.Format.Set)
	if err := r.err(); err != nil {
		return nil, err
	}
	s.values = s.flagValues(c)
	return s, nil
}

func (s *settings) readWeb(r *flagReader) {
	s.listenAddresses = r.c.StringSlice(flagListenAddress)
	s.listenAddressFile = r.c.String(flagListenAddressFile)
	s.systemdSocket = r.c.Bool(flagSystemdSocket)
	s.webConfigFile = r.c.String(flagWebConfigFile)
	s.readTimeout = r.duration(flagReadTimeout, time.Second)
	s.healthWithoutAuth = r.c.Bool(flagHealthWithoutAuth)
	s.maxScrapes = r.count(flagMaxScrapes)
	s.enableLifecycle = r.c.Bool(flagEnableLifecycle)
	s.enableAdminAPI = r.c.Bool(flagEnableAdminAPI)
	r.set(flagTelemetryPath, func(v string) error {
		s.telemetryPath = path.Clean(v)
		return checkTelemetryPath(v)
	})
	r.set(flagExternalURL, func(v string) (err error) {
		s.externalURL, err = url.Parse(v)
		return err
	})
	s.routePrefix = r.c.String(flagRoutePrefix)
	if s.externalURL != nil {
		s.routePrefix = routePrefix(s.routePrefix, s.externalURL)
	}
	if err := checkPattern(s.routePrefix); err != nil {
		r.fail(flagRoutePrefix, err)
	}
}

func (s *settings) readPush(r *flagReader) {
	s.disableConsistency = r.c.Bool(flagDisableConsistency)
	s.enableUTF8 = r.c.Bool(flagEnableUTF8)
	s.acceptTimestamps = r.c.Bool(flagAcceptTimestamps)
	s.maxAge = r.duration(flagMaxAge, 0)
	s.ttl = r.duration(flagTTL, 0)
	s.refusedBytes = r.bytes(ingest.FlagRefusedBytes, 0)
	s.shapeCacheBytes = r.bytes(ingest.FlagShapeCacheBytes, 0)
	s.limits = ingest.Limits{
		MaxBodyBytes:     r.bytes(ingest.FlagMaxBodyBytes, 1),
		MaxDecodedBytes:  r.bytes(ingest.FlagMaxDecodedBytes, 1),
		MaxInFlightBytes: r.bytes(ingest.FlagMaxInFlightBytes, 1),
		MaxGroups:        r.count(ingest.FlagMaxGroups),
		MaxSeries:        r.count(ingest.FlagMaxSeries),
		MaxLabels:        r.count(ingest.FlagMaxLabels),
		MaxLabelLength:   r.count(ingest.FlagMaxLabelLength),
	}
}

func (s *settings) readSend(r *flagReader) {
	s.configFile = r.c.String(flagConfigFile)
	s.refreshInterval = r.duration(flagRefreshInterval, 0)
	if s.refreshInterval > 0 && s.refreshInterval < config.MinRefresh {
		r.fail(flagRefreshInterval, fmt.Errorf("must be 0 or at least %s, is %s", config.MinRefresh, s.refreshInterval))
	}
	s.refreshBackfill = r.c.Bool(flagRefreshBackfill)
	s.remoteWriteURLs = r.c.StringSlice(config.FlagRemoteWriteURL)
	for _, u := range s.remoteWriteURLs {
		if err := checkURL(u); err != nil {
			r.fail(config.FlagRemoteWriteURL, err)
		}
	}
}

func (s *settings) readStorage(r *flagReader) {
	s.storagePath = r.c.String(flagStoragePath)
	s.storagePathSet = r.c.IsSet(flagStoragePath)
	r.set(flagFsync, func(v string) (err error) {
		s.fsync, err = disk.ParseFsyncMode(v)
		return err
	})
	s.fsyncInterval = r.duration(flagFsyncInterval, time.Millisecond)
	s.maxBytes = r.bound(flagMaxBytes)
	s.deadLetters = r.bytes(flagDeadLetters, 0)
	if s.minFreeBytes = r.bound(flagMinFreeBytes); !r.c.IsSet(flagMinFreeBytes) {
		s.minFreeBytes = 0 // the queue asks for less on a small file system
	}
	r.set(flagOnFull, func(v string) (err error) {
		s.onFull, err = queue.ParseOnFull(v)
		return err
	})
	s.orphanRetention = r.duration(flagOrphans, 0)
	s.resetClock = r.c.Bool(flagResetClock)
	s.persistenceFile = r.c.String(flagPersistenceFile)
	s.persistenceInterval = r.duration(flagPersistenceInterval, 0)
}

// rulesOf joins the rules of the file with what the flags say for all groups.
func (s *settings) rulesOf(c *config.Config) *group.Rules {
	return group.NewRules(group.Policy{TTL: s.ttl, Refresh: s.refreshInterval}, c.Rules)
}

func (s *settings) readMemory(r *flagReader) {
	s.autoMemoryLimit = r.c.Bool(flagAutoMemoryLimit)
	r.set(flagAutoMemoryLimitRatio, func(v string) error {
		ratio, err := strconv.ParseFloat(v, 64)
		if err != nil || !(ratio > 0 && ratio <= 1) {
			return fmt.Errorf("must be above 0 and at most 1, is %q", v)
		}
		s.memoryRatio = ratio
		return nil
	})
}

// logger writes to w in the format and from the level that the flags name.
func (s *settings) logger(w io.Writer) *slog.Logger {
	o := s.log
	o.Writer = w
	return promslog.New(&o)
}

// flagValues is what Pushgateway's status API shows: durations as Go prints
// them, and the route prefix that is in force.
func (s *settings) flagValues(c *cli.Context) map[string]string {
	values := map[string]string{}
	for _, f := range c.Command.Flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		name := f.Names()[0]
		if isList(f) {
			var shown []string
			for _, v := range c.StringSlice(name) {
				shown = append(shown, redact(v))
			}
			values[name] = strings.Join(shown, ",")
		} else {
			values[name] = redact(fmt.Sprint(c.Value(name)))
		}
	}
	for name, d := range map[string]time.Duration{
		flagReplicaLease:        s.stream.Lease,
		flagPersistenceInterval: s.persistenceInterval, flagTTL: s.ttl, flagMaxAge: s.maxAge,
		flagRefreshInterval: s.refreshInterval, flagFsyncInterval: s.fsyncInterval, flagOrphans: s.orphanRetention, flagReadTimeout: s.readTimeout, flagShutdownTimeout: s.shutdownTimeout,
	} {
		values[name] = d.String()
	}
	values[flagRoutePrefix] = s.routePrefix
	return values
}

// openPaths are those that need no password.
func (s *settings) openPaths() []string {
	if !s.healthWithoutAuth {
		return nil
	}
	return []string{s.routePrefix + healthyPath, s.routePrefix + readyPath}
}

// externalPath is the path under which clients see the gateway, with a slash at the end;
// empty when the URL is not given. A proxy in between may show another path than ours.
func externalPath(external *url.URL) string {
	if external == nil || *external == (url.URL{}) {
		return ""
	}
	return strings.TrimSuffix("/"+strings.Trim(external.EscapedPath(), "/"), "/") + "/"
}

// routePrefix is the path below which all routes stand: given, or else that of
// the external URL.
func routePrefix(given string, external *url.URL) string {
	if given == "" {
		given = external.Path
	}
	given = strings.Trim(given, "/")
	if given == "" {
		return ""
	}
	return "/" + given
}

// checkTelemetryPath refuses paths that would take another route's place.
func checkTelemetryPath(p string) error {
	if !strings.HasPrefix(p, "/") {
		return fmt.Errorf("%q must begin with a slash", p)
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean(p), "/"), "/")
	if slices.Contains([]string{"", "status", "static", "api", "-", "debug"}, first) {
		return fmt.Errorf("%q is the path of something else", p)
	}
	return checkPattern(p)
}

// checkPattern refuses what http.ServeMux would take for more than a path.
func checkPattern(p string) error {
	if strings.ContainsAny(p, "{} \t") {
		return fmt.Errorf("%q must not contain braces or blanks", p)
	}
	return nil
}

// checkURL tells whether samples can be sent to raw. It shows no secret.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("not a URL") // the parser's own words repeat it, password included
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q must be of the form http://host:port/path", remotewrite.RedactURL(u))
	}
	return nil
}

// redact hides the secrets of a value that is a URL.
func redact(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return value
	}
	return remotewrite.RedactURL(u)
}

// flagReader reads values with a syntax, and gathers what is wrong with them.
type flagReader struct {
	c     *cli.Context
	wrong []string
}

func (r *flagReader) fail(name string, err error) {
	r.wrong = append(r.wrong, fmt.Sprintf("--%s: %v", name, err))
}

// err names all that is wrong, nil for nothing.
func (r *flagReader) err() error {
	if len(r.wrong) == 0 {
		return nil
	}
	return usagef("%s", strings.Join(r.wrong, "; "))
}

func (r *flagReader) set(name string, set func(string) error) {
	if err := set(r.c.String(name)); err != nil {
		r.fail(name, err)
	}
}

func (r *flagReader) duration(name string, least time.Duration) (d time.Duration) {
	r.set(name, func(v string) (err error) {
		d, err = config.ParseDuration(v)
		if err == nil && d < least {
			err = fmt.Errorf("must be at least %s, is %s", least, d)
		}
		return err
	})
	return d
}

func (r *flagReader) bytes(name string, least int64) (n int64) {
	r.set(name, func(v string) (err error) {
		n, err = parseBytes(v)
		if err == nil && n < least {
			err = fmt.Errorf("must be at least %d, is %d", least, n)
		}
		return err
	})
	return n
}

func (r *flagReader) count(name string) int {
	n := r.c.Int(name)
	if n < 0 {
		r.fail(name, fmt.Errorf("must not be negative, is %d", n))
	}
	return n
}

// bound reads a size that 0 switches off, which the queue spells -1.
func (r *flagReader) bound(name string) int64 {
	if n := r.bytes(name, 0); n > 0 {
		return n
	}
	return -1
}
