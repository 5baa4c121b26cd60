package gateway

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/state"
)

// sent are the times of what is sent of each group.
type sent struct {
	mu    sync.Mutex
	times map[string][]int64
}

// apart returns how far the samples of a group are apart at most, after the first turn, and how
// many refreshes there were.
func (s *sent) apart() (longest time.Duration, n int) {
	for _, times := range s.times {
		n += len(times) - 1
		for i := 2; i < len(times); i++ {
			longest = max(longest, time.Duration(times[i]-times[i-1])*time.Millisecond)
		}
	}
	return longest, n
}

// life is a gateway in dir that refreshes until it is ended.
func (s *sent) life(t *testing.T, dir string, takeOver time.Duration) (g *Gateway, end func()) {
	t.Helper()
	g, err := Open(disk.New(disk.Options{Dir: dir, Fsync: disk.Off}), Options{TakeOver: takeOver})
	if err != nil {
		t.Fatal(err)
	}
	g.SetRules(group.NewRules(group.Policy{Refresh: time.Minute}, nil))
	run, stop := context.WithCancel(t.Context())
	log, stopLog := context.WithCancel(t.Context())
	reader := g.Log().NewReader(g.Log().Head())
	var running, reading sync.WaitGroup
	running.Go(func() { _ = g.Run(run, func() bool { return true }) })
	reading.Go(func() { _ = g.Log().Run(log) })
	reading.Go(func() { s.read(log, reader) })
	return g, func() {
		stop()
		running.Wait()
		stopLog()
		reading.Wait()
		_ = reader.Close() // has nothing open
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (s *sent) read(ctx context.Context, reader *queue.Reader[*group.Record]) {
	for {
		it, err := reader.Next(ctx)
		if err != nil {
			return
		}
		if it.Record.Kind != group.KindClock {
			s.mu.Lock()
			id := it.Record.Labels.String()
			s.times[id] = append(s.times[id], it.Record.Time)
			s.mu.Unlock()
		}
	}
}

// TestTurnsOverARestart: whoever goes on with the log, killed or stopped at any moment of a
// round, goes on with the turns too, and makes up for those that nobody has made.
func TestTurnsOverARestart(t *testing.T) {
	const interval, away, lives, groups = time.Minute, 4 * time.Second, 7, 200
	for _, test := range []struct {
		name           string
		takeOver, most time.Duration
	}{
		{"a process", 0, interval + away},
		{"a replica", 5 * time.Second, interval},
	} {
		for _, how := range []string{"killed", "stopped"} {
			t.Run(test.name+" is "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &sent{times: map[string][]int64{}}
					dir := t.TempDir()
					for life := range lives {
						g, end := s.life(t, dir, test.takeOver)
						if life == 0 {
							for i := range groups {
								if _, err := g.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key(fmt.Sprint(i))}, g.now()); err != nil {
									t.Fatal(err)
								}
							}
						}
						time.Sleep(2*interval + time.Duration(life)*13*time.Second)
						if synctest.Wait(); how == "killed" {
							next := filepath.Join(t.TempDir(), "next")
							if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
								t.Fatal(err)
							}
							dir = next
						}
						end()
						time.Sleep(away)
					}
					longest, n := s.apart()
					t.Logf("at most %v apart, %d refreshes", longest, n)
					if longest > test.most {
						t.Errorf("%v apart, want %v at most", longest, test.most)
					}
					if n < lives*groups {
						t.Errorf("%d refreshes of %d groups", n, groups)
					}
				})
			})
		}
	}
}

// TestMissedTurns: those that were missed come in their order, a tenth of their usual distance
// apart, and never more than a round.
func TestMissedTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sent{times: map[string][]int64{}}
		dir := t.TempDir()
		g, end := s.life(t, dir, 0)
		for i := range 600 {
			if _, err := g.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key(fmt.Sprint(i))}, g.now()); err != nil {
				t.Fatal(err)
			}
		}
		end()
		time.Sleep(time.Hour)
		began := time.Now()
		_, end = s.life(t, dir, 0)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		end()
		at, n := map[int64]bool{}, 0
		for _, times := range s.times {
			for _, ms := range times[1:] {
				at[(ms-began.UnixMilli())/100] = true
				n++
			}
		}
		// Meanwhile eight turns more have come.
		if len(at) < state.RefreshSlots || n < 600 || n > 750 {
			t.Errorf("%d groups were made up for at %d moments, want 600 and few more, at %d or more", n, len(at), state.RefreshSlots)
		}
	})
}

// TestLastMade: what the clock, the marks and the own turns say of the last turn.
func TestLastMade(t *testing.T) {
	for _, test := range []struct {
		name                 string
		own, marked, now, in int64
	}{
		{"its own", 100, 90, 101, 100},
		{"another replica's", 100, 105, 106, 105},
		{"a replica whose clock is ahead", 100, 110, 106, 110},
		{"a mark of a clock that was far ahead", 100, 1000, 101, 100},
		{"the clock was set back", 1000, 1000, 101, 101},
		{"long ago", 100, 110, 1000, 940},
	} {
		if got := lastMade(test.own, test.marked, test.now); got != test.in {
			t.Errorf("%s: %d, want %d", test.name, got, test.in)
		}
	}
}

// TestTurnsOfManyIntervals: as many intervals as are remembered keep their turns when one of
// them has another.
func TestTurnsOfManyIntervals(t *testing.T) {
	var x turns
	for i := range maxIntervals + 1 {
		x.mu.Lock()
		x.keepLocked(time.Duration(i%maxIntervals+1)*time.Minute, int64(i%maxIntervals+1))
		x.mu.Unlock()
	}
	for i := range maxIntervals {
		if n := x.marked(time.Duration(i+1) * time.Minute); n != int64(i+1) {
			t.Errorf("the turn of an interval of %d minutes is %d", i+1, n)
		}
	}
}
