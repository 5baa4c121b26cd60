package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// answerLoser stands before a receiver. When it is armed, a coming request is
// handed on and stored, and then, before the answer, the sender is killed.
type answerLoser struct {
	next http.Handler

	mu   sync.Mutex
	left int    // requests until the kill, 0 when not armed
	kill func() // kills the sender
}

func (l *answerLoser) arm(requests int, kill func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.kill = requests, kill
}

// killer counts a request, and returns how to kill the sender if it is the one.
func (l *answerLoser) killer() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		return nil
	}
	if l.left--; l.left > 0 {
		return nil
	}
	return l.kill
}

func (l *answerLoser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kill := l.killer()
	l.next.ServeHTTP(w, r)
	if kill != nil {
		kill()
		panic(http.ErrAbortHandler)
	}
}

const (
	answerKills   = 50
	answerPushers = 4
)

// TestKillBetweenSendAndAnswer kills the sender after the real write handler has
// stored a request and before it answers, fifty times with each protocol. No
// acknowledged push may be missing, and nothing may be out of order: the time
// series database would refuse it, and take the rest of the request along.
func TestKillBetweenSendAndAnswer(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			loser := &answerLoser{}
			b := newInProcess(t, bothProtocols, func(h http.Handler) http.Handler {
				loser.next = h
				return loser
			})
			file, storage := remoteWrite(t, b, "    protobuf_message: "+message+"\n"), t.TempDir()
			rng := rand.New(rand.NewPCG(4, 2))
			acked := make([][]float64, answerPushers)
			for range answerKills {
				g := startPushbridgeIn(t, storage, "--config.file="+file)
				loser.arm(1+rng.IntN(4), func() { g.kill() })
				pushUntilGone(t, g, acked)
			}
			loser.arm(0, nil)
			startPushbridgeIn(t, storage, "--config.file="+file)
			total := 0
			for p, values := range acked {
				total += len(values)
				eventually(t, "acknowledged pushes", func() error { return hasInOrder(t, b, p, values) })
			}
			t.Logf("%d kills between send and answer, %d pushes acknowledged, none missing", answerKills, total)
		})
	}
}

// pushUntilGone pushes rising values until the gateway is dead, and notes the
// acknowledged ones.
func pushUntilGone(t *testing.T, g *gateway, acked [][]float64) {
	t.Helper()
	var wg sync.WaitGroup
	for p := range acked {
		wg.Go(func() {
			next := 1.0
			if n := len(acked[p]); n > 0 {
				next = acked[p][n-1] + 2 // the push without an answer is perhaps kept
			}
			for ; ; next++ {
				code, body, err := send(context.Background(), http.MethodPut,
					fmt.Sprintf("%s/metrics/job/kill/pusher/%d", g.url, p), fmt.Sprintf("kill_value %v\nkill_step{n=\"%v\"} 1\n", next, int(next)%3), nil)
				if err != nil {
					return // killed
				}
				if code != http.StatusOK {
					t.Errorf("push: %d %s", code, body)
					return
				}
				acked[p] = append(acked[p], next)
			}
		})
	}
	wg.Wait()
	<-g.done
}

// hasInOrder says what is missing of the values of a pusher at the receiver.
func hasInOrder(t *testing.T, b *inProcess, pusher int, want []float64) error {
	got := b.samples(t, named("kill_value"), labels.MustNewMatcher(labels.MatchEqual, "pusher", fmt.Sprint(pusher)))
	if len(got) != 1 {
		return fmt.Errorf("%d series of pusher %d", len(got), pusher)
	}
	for series, samples := range got {
		i := 0
		for _, s := range samples {
			if i < len(want) && s.Value == want[i] {
				i++
			}
		}
		if i < len(want) {
			return fmt.Errorf("%s: value %v is missing (%d of %d)", strings.TrimSpace(series), want[i], i+1, len(want))
		}
		if !slices.IsSortedFunc(samples, func(a, b sample) int { return int(a.Time - b.Time) }) {
			return fmt.Errorf("%s: not in order", strings.TrimSpace(series))
		}
	}
	return nil
}

// TestOneBadSeriesAmongManyGood makes the receiver refuse one of 5,000 series,
// since it holds a newer sample of it already. The others must arrive, and the
// one be counted and named.
func TestOneBadSeriesAmongManyGood(t *testing.T) {
	const groups, series = 50, 100
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			b := newInProcess(t, bothProtocols, nil)
			b.add(t, labels.FromStrings("__name__", "crowd", "group", "7", "job", "crowd", "n", "7"), 5*60_000, -1)
			g := startPushbridge(t, "--log.level=info", "--config.file="+remoteWrite(t, b, "    protobuf_message: "+message+"\n"))
			driveTo(t, 8, groups, func(_, i int) (string, string) {
				var body strings.Builder
				for n := range series {
					fmt.Fprintf(&body, "crowd{n=\"%d\"} %d\n", n, n)
				}
				return fmt.Sprintf("%s/metrics/job/crowd/group/%d", g.url, i), body.String()
			})
			waitQuery(t, b, `count(crowd >= 0)`, fmt.Sprintf("{} %d", groups*series-1))
			const dropped = "pushbridge_remotewrite_samples_dropped_total"
			eventually(t, "the refused sample is counted", func() error {
				if n := g.metric(t, dropped); n != 1 {
					return fmt.Errorf("%s is %v", dropped, n)
				}
				return nil
			})
			if out := g.output(); !strings.Contains(out, "out of order") {
				t.Errorf("the receiver's words are not in the log:\n%s", out)
			} else if message == "prometheus.WriteRequest" && !strings.Contains(out, "crowd") {
				t.Errorf("the series is not named in the log:\n%s", out)
			}
		})
	}
}
