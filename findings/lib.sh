# lib.sh: what the findings share. Each works in a folder of its own, which goes at the end.
set -eu
export GOFLAGS=-mod=mod GOWORK=off LC_ALL=C
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
pids=
trap 'for p in $pids; do kill -9 "$p" 2>/dev/null || :; done; rm -rf "$dir"' EXIT
cd "$dir"

# gorun PATH@VERSION...: run the Go files of this folder with these modules.
gorun() {
	printf 'module finding\n\ngo 1.26\n' >go.mod
	for module; do go mod edit -require="$module"; done
	go mod tidy >tidy.log 2>&1 || { cat tidy.log >&2; return 1; }
	go run .
}

# same: what the folder's file want says must have come out, as the file got has it.
same() {
	if diff -u want got; then
		echo "as before:"
		cat got
	else
		echo "this has changed" >&2
		exit 1
	fi
}

# debian PACKAGE VERSION: the package must be there in this version.
debian() {
	have=$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null) || { echo "apt-get install $1" >&2; exit 1; }
	case $have in
	"$2"*) ;;
	*) echo "$1 is $have, the finding is about $2" >&2 && exit 1 ;;
	esac
}

# ready URL: wait until it answers.
ready() {
	for _ in $(seq 300); do
		if curl -sf "$1" >/dev/null; then return; fi
		sleep 0.1
	done
	echo "$1 does not answer" >&2
	exit 1
}

# port: one of loopback that nobody listens on.
port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

prometheus=github.com/prometheus/prometheus@v0.314.0
experimental=github.com/prometheus/client_golang/exp@v0.0.0-20260724065723-ecdb8254ba61
common=github.com/prometheus/common@v0.72.1
nats_server=github.com/nats-io/nats-server/v2@v2.15.3
nats_client=github.com/nats-io/nats.go@v1.55.0

# write_handler: a Go file with Prometheus' write handler on an empty database.
write_handler() {
	cat >handler.go <<'GO'
package main

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/golang/snappy"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

var quiet = slog.New(slog.DiscardHandler)

type receiver struct {
	db *tsdb.DB
	h  http.Handler
}

func newReceiver() *receiver {
	dir, err := os.MkdirTemp(".", "tsdb-")
	must(err)
	db, err := tsdb.Open(dir, quiet, nil, tsdb.DefaultOptions(), nil)
	must(err)
	both := remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}
	return &receiver{db, remote.NewWriteHandler(quiet, prometheus.NewRegistry(), db, both, false, false, true)}
}

// post sends a message with a content type and a version header.
func (r *receiver) post(message []byte, contentType, version string) *http.Response {
	req := httptest.NewRequest(http.MethodPost, "/api/v1/write", strings.NewReader(string(snappy.Encode(nil, message))))
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", version)
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w.Result()
}

// stored returns the series that the database has, and how many samples in all.
func (r *receiver) stored() (series []string, samples int) {
	q, err := r.db.Querier(math.MinInt64, math.MaxInt64)
	must(err)
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	for set.Next() {
		series = append(series, set.At().Labels().String())
		it := set.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			samples++
		}
	}
	must(set.Err())
	return series, samples
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
}

# jetstream_server: a Go file with a NATS server in this process, and a client.
jetstream_server() {
	cat >server.go <<'GO'
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const MiB = 1 << 20

func start() (*server.Server, *nats.Conn, jetstream.JetStream) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "store",
		MaxPayload: 64 * MiB, MaxPending: 128 * MiB, NoLog: true, NoSigs: true,
	})
	must(err)
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		panic("the server is not ready")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.Timeout(10*time.Second))
	must(err)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(20*time.Second))
	must(err)
	return s, nc, js
}

// said is what came of a request.
func said(err error) string {
	var e *jetstream.APIError
	if errors.As(err, &e) {
		return fmt.Sprintf("%d/%d %s", e.Code, e.ErrorCode, e.Description)
	}
	if err != nil {
		return err.Error()
	}
	return "taken"
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
}

# remote_sender: a Go file that sends a message to a remote-write receiver.
remote_sender() {
	cat >sender.go <<'GO'
package main

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

const (
	version1 = "application/x-protobuf"
	version2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// send returns the status, and the text of an error or what the answer says was written.
func send(base, contentType, version string, message []byte) (int, string) {
	req, err := http.NewRequest(http.MethodPost, base+cmp.Or(os.Getenv("WRITE_PATH"), "/api/v1/write"), bytes.NewReader(snappy.Encode(nil, message)))
	must(err)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", version)
	resp, err := http.DefaultClient.Do(req)
	must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(err)
	all := strings.TrimSpace(string(text))
	for _, kind := range []string{"Samples", "Histograms"} {
		if n := resp.Header.Get("X-Prometheus-Remote-Write-" + kind + "-Written"); n != "" {
			all += " " + kind + "-Written: " + n
		}
	}
	return resp.StatusCode, all
}

// get returns the answer to a GET.
func get(base, path string, query ...string) string {
	form := url.Values{}
	for i := 0; i < len(query); i += 2 {
		form.Set(query[i], query[i+1])
	}
	resp, err := http.Get(base + path + "?" + form.Encode())
	must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(err)
	return string(text)
}

// series makes one from pairs of label name and value.
func series(sample prompb.Sample, pairs ...string) prompb.TimeSeries {
	ts := prompb.TimeSeries{Samples: []prompb.Sample{sample}}
	for i := 0; i < len(pairs); i += 2 {
		ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return ts
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
}

# backend NAME VERSION: one that e2e/backends pins, as the program $program. It is compiled
# where make e2e-backends has not done so, which takes an hour on two cores.
backend() {
	kept=${BACKENDS:-$HOME/.cache/pushbridge/backends}
	sh "$root/e2e/backends/build.sh" "$1" "$kept"
	program=$kept/$1-$2
	[ -x "$program" ] || { echo "$1 is another one than $2, which the finding is about" >&2; exit 1; }
}

# debian_victoriametrics, debian_prometheus: start one on an empty folder; its address is $base.
debian_victoriametrics() {
	debian victoria-metrics 1.79.5
	base=http://127.0.0.1:$(port)
	victoria-metrics -storageDataPath=data -httpListenAddr="${base#http://}" -search.latencyOffset=0s >server.log 2>&1 &
	pids="$pids $!"
	ready "$base/health"
}

debian_prometheus() {
	debian prometheus 2.42.0
	base=http://127.0.0.1:$(port)
	: >prometheus.yml
	prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address="${base#http://}" \
		--web.enable-remote-write-receiver >server.log 2>&1 &
	pids="$pids $!"
	ready "$base/-/ready"
}
