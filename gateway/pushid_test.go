package gateway

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
)

func TestParsePushID(t *testing.T) {
	id := PushID{Store: "00ff00ff00ff00ff", Seq: 1<<64 - 1, Job: 0xab}
	text := id.String()
	if want := "00ff00ff00ff00ff-18446744073709551615-000000ab"; text != want || len(text) != MaxPushID {
		t.Errorf("got %s, %d bytes", text, len(text))
	}
	if got, err := ParsePushID(text); got != id || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "1", "00ff00ff00ff00ff-0-000000ab", "00ff00ff00ff00ff-01-000000ab", "00FF00ff00ff00ff-1-000000ab",
		"00ff00ff00ff00ff-1-000000AB", "00ff00ff00ff00f-1-000000ab", "00ff00ff00ff00ff-1-ab", "00ff00ff00ff00ff-1-000000ab-",
		"00ff00ff00ff00fg-1-000000ab", "00ff00ff00ff00ff-18446744073709551616-000000ab", strings.Repeat("0", 1<<20),
	} {
		if got, err := ParsePushID(bad); err == nil {
			t.Errorf("%.60q is %+v", bad, got)
		}
	}
}

// An id names the same record after a restart, in this store alone.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	g := newRigOn(t, disk.New(disk.Options{Dir: dir}))
	id, err := g.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key("a")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if id.Seq != g.Log().Head() || id.Job != group.HashJob("a") {
		t.Errorf("got %v, head %d", id, g.Log().Head())
	}
	g.end()
	for _, tt := range []struct {
		name  string
		store queue.Store
		id    string
		err   error
	}{
		{"after a restart", disk.New(disk.Options{Dir: dir}), id.String(), nil},
		{"not given out", disk.New(disk.Options{Dir: dir}), PushID{id.Store, id.Seq + 1, id.Job}.String(), ErrNoRecord},
		{"of another directory", disk.New(disk.Options{Dir: t.TempDir()}), id.String(), ErrOtherStore},
		{"of a directory, in memory", queue.NewMemory(), id.String(), ErrOtherStore},
		{"no id", queue.NewMemory(), "x", errPushID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRigOn(t, tt.store)
			defer g.end()
			got, err := g.Find(tt.id)
			if !errors.Is(err, tt.err) || err == nil && got != id {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
