package main

import (
	"strings"

	"github.com/prometheus/common/promslog"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/ingest"
)

// The flags of the gateway. Those that Pushgateway has keep its names, defaults
// and meaning.
const (
	flagListenAddress     = "web.listen-address"
	flagListenAddressFile = "web.listen-address-file"
	flagSystemdSocket     = "web.systemd-socket"
	flagWebConfigFile     = "web.config.file"
	flagHealthWithoutAuth = "web.health-without-auth"
	flagTelemetryPath     = "web.telemetry-path"
	flagExternalURL       = "web.external-url"
	flagRoutePrefix       = "web.route-prefix"
	flagReadTimeout       = "web.read-timeout"
	flagMaxScrapes        = "web.max-scrapes"
	flagEnableLifecycle   = "web.enable-lifecycle"
	flagEnableAdminAPI    = "web.enable-admin-api"

	flagPersistenceFile     = "persistence.file"
	flagPersistenceInterval = "persistence.interval"

	flagDisableConsistency = "push.disable-consistency-check"
	flagEnableUTF8         = "push.enable-utf8-names"
	flagTTL                = "push.ttl"
	flagAcceptTimestamps   = "push.accept-timestamps"
	flagMaxAge             = "push.max-age"

	flagConfigFile = "config.file"

	flagTeeURL        = "tee.url"
	flagTeeHTTPConfig = "tee.http.config.file"
	flagTeeMaxBytes   = "tee.max-bytes"

	flagRefreshInterval = "refresh.interval"
	flagRefreshBackfill = "refresh.backfill"

	flagStoragePath   = "storage.path"
	flagFsync         = "storage.fsync"
	flagFsyncInterval = "storage.fsync-interval"
	flagMaxBytes      = "storage.max-bytes"
	flagDeadLetters   = "storage.dead-letters"
	flagMinFreeBytes  = "storage.min-free-bytes"
	flagOnFull        = "storage.on-full"
	flagOrphans       = "storage.orphan-retention"
	flagResetClock    = "storage.reset-clock"

	flagNATSURL      = "storage.nats-url"
	flagNATSStream   = "storage.nats-stream"
	flagNATSReplicas = "storage.nats-replicas"
	flagNATSCreds    = "storage.nats-creds"
	flagNATSNKey     = "storage.nats-nkey"
	flagNATSTLSCA    = "storage.nats-tlsca"
	flagNATSTLSCert  = "storage.nats-tlscert"
	flagNATSTLSKey   = "storage.nats-tlskey"
	flagReplicaID    = "replica.id"
	flagReplicaLease = "replica.lease"
	flagReplicaURL   = "replica.advertise-url"
	flagReplicaHTTP  = "replica.http.config.file"
	flagReplicaHold  = "replica.hold-timeout"

	flagAutoMemoryLimit      = "auto-gomemlimit"
	flagAutoMemoryLimitRatio = "auto-gomemlimit.ratio"

	flagShutdownTimeout = "shutdown.timeout"
	flagLogLevel        = "log.level"
	flagLogFormat       = "log.format"
	flagClockOffsetFile = "test.clock-offset-file"
)

// serveFlags defines the flags. Values with a syntax of their own are strings
// here, because readSettings says more helpfully what is wrong with one.
func serveFlags() []cli.Flag {
	var all []cli.Flag
	all = append(all, webFlags("Web")...)
	all = append(all, pushFlags("Pushes")...)
	all = append(all, limitFlags("Limits, beyond which a push is refused")...)
	all = append(all, sendFlags("Remote write")...)
	all = append(all, teeFlags("Copies to another gateway, for moving to this one")...)
	all = append(all, storageFlags("Storage")...)
	all = append(all, streamFlags("Storage in a stream of NATS JetStream, instead of a directory")...)
	return append(all, processFlags("Process")...)
}

func webFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: flagListenAddress, Category: category, Value: cli.NewStringSlice(":9091"),
			Usage: "Addresses on which to expose metrics and web interface. Repeatable for multiple addresses.",
		},
		&cli.StringFlag{
			Name: flagListenAddressFile, Category: category,
			Usage: "File to write the bound addresses to, one a line: with port 0 the only way to learn them.",
		},
		&cli.BoolFlag{
			Name: flagSystemdSocket, Category: category,
			Usage: "Use systemd socket activation listeners instead of port listeners (Linux only).",
		},
		&cli.StringFlag{
			Name: flagWebConfigFile, Category: category,
			Usage: "Path to a file that can enable TLS or authentication, see the documentation of Prometheus' exporter-toolkit.",
		},
		&cli.BoolFlag{
			Name: flagHealthWithoutAuth, Category: category,
			Usage: "Answer GET of /-/healthy and /-/ready without the password that --web.config.file asks for, for probes. Certificates of TLS are asked for all the same.",
		},
		&cli.StringFlag{
			Name: flagTelemetryPath, Category: category, Value: "/metrics",
			Usage: "Path under which to expose metrics.",
		},
		&cli.StringFlag{
			Name: flagExternalURL, Category: category,
			Usage: "The URL under which pushbridge is externally reachable.",
		},
		&cli.StringFlag{
			Name: flagRoutePrefix, Category: category,
			Usage: "Prefix for the internal routes of web endpoints. Defaults to the path of --web.external-url.",
		},
		&cli.StringFlag{
			Name: flagReadTimeout, Category: category, Value: "5m",
			Usage: "How long the body of a request may stand still, and a connection stay idle.",
		},
		&cli.IntFlag{
			Name: flagMaxScrapes, Category: category, Value: 8,
			Usage: "Scrapes that are answered at once; the others wait for their turn. 0 is no limit.",
		},
		&cli.BoolFlag{
			Name: flagEnableLifecycle, Category: category,
			Usage: "Enable shutdown and reload via HTTP request.",
		},
		&cli.BoolFlag{
			Name: flagEnableAdminAPI, Category: category,
			Usage: "Enable API endpoints for admin control actions.",
		},
	}
}

func pushFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{
			Name: flagDisableConsistency, Category: category,
			Usage: "Do not check consistency of pushed metrics. DANGEROUS.",
		},
		&cli.BoolFlag{
			Name: flagEnableUTF8, Category: category,
			Usage: "Allow UTF-8 characters in metric and label names.",
		},
		&cli.StringFlag{
			Name: flagTTL, Category: category, Value: "0s",
			Usage: "Delete a group that was not pushed to for this long. 0 keeps groups until they are deleted.",
		},
		&cli.BoolFlag{
			Name: flagAcceptTimestamps, Category: category,
			Usage: "Accept samples with timestamps of their own, which Pushgateway refuses.",
		},
		&cli.StringFlag{
			Name: flagMaxAge, Category: category, Value: "1h",
			Usage: "With --push.accept-timestamps: how old a sample's own timestamp may be.",
		},
	}
}

func limitFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: ingest.FlagMaxBodyBytes, Category: category, Value: "64MiB",
			Usage: "Size of a push's body as it is sent.",
		},
		&cli.StringFlag{
			Name: ingest.FlagMaxDecodedBytes, Category: category, Value: "256MiB",
			Usage: "Size of a push's body after decompression.",
		},
		&cli.StringFlag{
			Name: ingest.FlagMaxInFlightBytes, Category: category, Value: "1GiB",
			Usage: "Memory for all pushes that are being read; the next one hears 503 and may come again.",
		},
		&cli.StringFlag{
			Name: ingest.FlagShapeCacheBytes, Category: category, Value: "32MiB",
			Usage: "Memory for bodies that were pushed before, so that only their values need to be read. 0 is none.",
		},
		&cli.StringFlag{
			Name: ingest.FlagRefusedBytes, Category: category, Value: "1MiB",
			Usage: "Memory for the latest 1,000 refused requests and the latest one of each group, for the page and the API. 0 is none.",
		},
		&cli.IntFlag{
			Name: ingest.FlagMaxGroups, Category: category,
			Usage: "Number of groups. 0 is no limit.",
		},
		&cli.IntFlag{
			Name: ingest.FlagMaxSeries, Category: category,
			Usage: "Number of samples in one group. 0 is no limit.",
		},
		&cli.IntFlag{
			Name: ingest.FlagMaxLabels, Category: category, Value: ingest.DefaultMaxLabels,
			Usage: "Labels of one series, or of a grouping key. 0 is no limit.",
		},
		&cli.IntFlag{
			Name: ingest.FlagMaxLabelLength, Category: category,
			Usage: "Bytes of a label's name or value. 0 is no limit.",
		},
	}
}

func sendFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: config.FlagRemoteWriteURL, Category: category,
			Usage: "Where to send samples by remote write. Repeatable: each URL is a destination with a pace of its own.",
		},
		&cli.StringFlag{
			Name: flagConfigFile, Category: category,
			Usage: "YAML file with Prometheus' remote_write section and global.external_labels; a whole prometheus.yml will do.",
		},
		&cli.StringFlag{
			Name: flagRefreshInterval, Category: category, Value: "1m",
			Usage: "Send groups again that were not pushed to for this long, so that their series stay visible: at most half of the receiver's look-back (5m). 0 is never.",
		},
		&cli.BoolFlag{
			Name: flagRefreshBackfill, Category: category,
			Usage: "Fill the hole that an outage of a destination left in groups that were not pushed to, at most 50m back. See docs/lifecycle.md.",
		},
	}
}

func teeFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: flagTeeURL, Category: category,
			Usage: "A Pushgateway that gets a copy of every push that was accepted, without delaying or failing it. See docs/migration.md.",
		},
		&cli.StringFlag{
			Name: flagTeeHTTPConfig, Category: category,
			Usage: "File with TLS and authentication for it, as promtool's --http.config.file.",
		},
		&cli.StringFlag{
			Name: flagTeeMaxBytes, Category: category, Value: "64MiB",
			Usage: "Memory for copies that wait. At the bound the oldest are dropped, counted.",
		},
	}
}

func storageFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: flagStoragePath, Category: category, Value: "data/",
			Usage: "Directory of the queue and the state. Empty keeps both in memory only.",
		},
		&cli.StringFlag{
			Name: flagFsync, Category: category, Value: "always",
			Usage: "When to force writes to disk. One of: [always, interval, off]. Other than always, a power loss can cost what was acknowledged last.",
		},
		&cli.StringFlag{
			Name: flagFsyncInterval, Category: category, Value: "1s",
			Usage: "How often, with --storage.fsync=interval.",
		},
		&cli.StringFlag{
			Name: flagMaxBytes, Category: category, Value: "10GiB",
			Usage: "Bound of the queue. At the bound a destination that lags behind loses its oldest samples, counted. 0 is no bound.",
		},
		&cli.StringFlag{
			Name: flagMinFreeBytes, Category: category, Value: "1GiB",
			Usage: "Room to leave free on the disk, as a bound of the queue. 0 is no bound; when not given, at most a tenth of the disk is asked for.",
		},
		&cli.StringFlag{
			Name: flagOnFull, Category: category, Value: "drop-oldest",
			Usage: "What to do at a bound of the queue. One of: [drop-oldest, reject]; reject answers pushes with 503.",
		},
		&cli.StringFlag{
			Name: flagDeadLetters, Category: category, Value: "64MiB",
			Usage: "Bound of what receivers have refused for good, which is kept to be sent once more; the oldest goes first. 0 keeps nothing.",
		},
		&cli.StringFlag{
			Name: flagOrphans, Category: category, Value: "7d",
			Usage: "How long to keep what waits for a destination that is not configured any more, within the bounds of the queue. 0 drops it at once.",
		},
		&cli.BoolFlag{
			Name: flagResetClock, Category: category,
			Usage: "Forget timestamps that are ahead of the clock, once, after the clock was wrong. See docs/operations.md.",
		},
		&cli.StringFlag{
			Name: flagPersistenceFile, Category: category,
			Usage: "Pushgateway's file to persist metrics in: read at start and written as Pushgateway does. Empty for none.",
		},
		&cli.StringFlag{
			Name: flagPersistenceInterval, Category: category, Value: "5m",
			Usage: "The minimum interval at which to write out the persistence file.",
		},
	}
}

func streamFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: flagNATSURL, Category: category,
			Usage: "URL of a NATS server with JetStream: the log is kept there instead of in --storage.path. Repeatable for the servers of a cluster. See docs/replicas.md.",
		},
		&cli.StringFlag{
			Name: flagNATSStream, Category: category, Value: "pushbridge",
			Usage: "Stream of the log, and bucket of the snapshots. Made when absent.",
		},
		&cli.IntFlag{
			Name: flagNATSReplicas, Category: category, Value: 3,
			Usage: "Copies of a stream that is made. Fewer than 3 lose pushes with a server's disk.",
		},
		&cli.StringFlag{
			Name: flagNATSCreds, Category: category,
			Usage: "File with the credentials of a NATS user, as nsc writes it.",
		},
		&cli.StringFlag{
			Name: flagNATSNKey, Category: category,
			Usage: "File with the NKey seed of a NATS user.",
		},
		&cli.StringFlag{
			Name: flagNATSTLSCA, Category: category,
			Usage: "File with the certificates of authorities that the servers' certificates are checked against.",
		},
		&cli.StringFlag{
			Name: flagNATSTLSCert, Category: category,
			Usage: "File with the certificate to show to the servers.",
		},
		&cli.StringFlag{
			Name: flagNATSTLSKey, Category: category,
			Usage: "File with the key of that certificate.",
		},
		&cli.StringFlag{
			Name: flagReplicaID, Category: category,
			Usage: "Name of this process among those that share the stream, the same after a restart. Defaults to the host's name.",
		},
		&cli.StringFlag{
			Name: flagReplicaLease, Category: category, Value: "3s",
			Usage: "How long nothing must be heard of the replica that leads before another one may. The same for all of them.",
		},
		&cli.StringFlag{
			Name: flagReplicaURL, Category: category,
			Usage: "URL of this process for the other replicas, with its route prefix: they forward pushes there while it leads. Empty: they answer pushes 503.",
		},
		&cli.StringFlag{
			Name: flagReplicaHTTP, Category: category,
			Usage: "File with TLS and authentication for requests to the other replicas, as promtool's --http.config.file. The client's own Authorization goes with a push.",
		},
		&cli.StringFlag{
			Name: flagReplicaHold, Category: category, Value: "12s",
			Usage: "How long pushes are held while no replica leads, before they are answered 503.",
		},
	}
}

func processFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: flagShutdownTimeout, Category: category, Value: "10s",
			Usage: "How long stopping waits for requests that run, before it cuts them off, and then for sending what is left. What is not sent waits on disk.",
		},
		&cli.BoolFlag{
			Name: flagAutoMemoryLimit, Category: category, Value: true,
			Usage: "Set GOMEMLIMIT from the memory that the container, or else the machine, has. A GOMEMLIMIT in the environment wins.",
		},
		&cli.StringFlag{
			Name: flagAutoMemoryLimitRatio, Category: category, Value: "0.9",
			Usage: "The part of that memory to set GOMEMLIMIT to, above 0 and at most 1.",
		},
		&cli.StringFlag{
			Name: flagLogLevel, Category: category, Value: "info",
			Usage: "Only log messages with the given severity or above. One of: [" + strings.Join(promslog.LevelFlagOptions, ", ") + "]",
		},
		&cli.StringFlag{
			Name: flagLogFormat, Category: category, Value: "logfmt",
			Usage: "Output format of log messages. One of: [" + strings.Join(promslog.FormatFlagOptions, ", ") + "]",
		},
		&cli.StringFlag{
			Name: flagClockOffsetFile, Category: category, Hidden: true,
			Usage: "File with a duration that is added to the clock, read again and again: for tests.",
		},
	}
}
