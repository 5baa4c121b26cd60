package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stageLog notes in which order stages stop.
type stageLog struct {
	mu    sync.Mutex
	order []string
}

func (l *stageLog) stage(name string) stage {
	return stage{name, func(ctx context.Context) error {
		<-ctx.Done()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.order = append(l.order, name)
		return nil
	}}
}

func TestStagesStopInReverseOrder(t *testing.T) {
	var l stageLog
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := runStages(ctx, time.Minute, []stage{l.stage("queue"), l.stage("destinations"), l.stage("http")})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"http", "destinations", "queue"}; !slices.Equal(l.order, want) {
		t.Errorf("stopped in order %v, want %v", l.order, want)
	}
}

func TestStageThatFailsStopsTheOthers(t *testing.T) {
	var l stageLog
	fails := stage{"http", func(context.Context) error { return errors.New("no listener") }}
	err := runStages(t.Context(), time.Minute, []stage{l.stage("queue"), fails, l.stage("upkeep")})
	if err == nil || err.Error() != "http: no listener" {
		t.Errorf("got error %v, want http: no listener", err)
	}
	if want := []string{"upkeep", "queue"}; !slices.Equal(l.order, want) {
		t.Errorf("stopped %v, want %v", l.order, want)
	}
}

func TestStageThatEndsUnaskedIsAnError(t *testing.T) {
	ends := stage{"upkeep", func(context.Context) error { return nil }}
	err := runStages(t.Context(), time.Minute, []stage{ends})
	if err == nil || !strings.Contains(err.Error(), "upkeep: ended unasked") {
		t.Errorf("got error %v, want upkeep: ended unasked", err)
	}
}

func TestStageThatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l stageLog
		hang := make(chan struct{})
		hangs := stage{"destinations", func(context.Context) error { <-hang; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := runStages(ctx, 10*time.Second, []stage{l.stage("queue"), hangs, l.stage("http")})
		if err == nil || !strings.Contains(err.Error(), "stop destinations") {
			t.Errorf("got error %v, want one that names the stage", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v, want the grace of 10s", took)
		}
		if want := []string{"http", "queue"}; !slices.Equal(l.order, want) {
			t.Errorf("stopped %v, want %v", l.order, want)
		}
		close(hang)
	})
}
