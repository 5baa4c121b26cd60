package ingest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	quietWindow = 10 * time.Second
	quietLines  = 10 // of one reason in a window
	maxTold     = 2000
)

// quietLog lets few lines of each reason through, and says how many it left out:
// clients that make mistakes must not fill the disk, nor drown what matters.
// Debug lines are for those who want all.
type quietLog struct {
	log *slog.Logger

	mu      sync.Mutex
	windows map[string]*window // by reason, while it is open
}

// window is the time in which lines of one reason are counted.
type window struct{ lines, left int }

func newQuietLog(log *slog.Logger) *quietLog {
	return &quietLog{log: log, windows: map[string]*window{}}
}

// Log writes a line of this reason, or counts it.
func (q *quietLog) Log(ctx context.Context, level slog.Level, msg, reason string, attrs ...any) {
	if level == slog.LevelDebug || q.due(level, msg, reason) {
		q.log.Log(ctx, level, msg, append([]any{"reason", reason}, attrs...)...) //nolint:sloglint // the messages of callers are constant
	}
}

func (q *quietLog) due(level slog.Level, msg, reason string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[reason]
	if w == nil {
		w = &window{}
		q.windows[reason] = w
		time.AfterFunc(quietWindow, func() { q.end(level, msg, reason) })
	}
	if w.lines == quietLines {
		w.left++
		return false
	}
	w.lines++
	return true
}

func (q *quietLog) end(level slog.Level, msg, reason string) {
	q.mu.Lock()
	left := q.windows[reason].left
	delete(q.windows, reason)
	q.mu.Unlock()
	if left > 0 {
		q.log.Log(context.Background(), level, "log lines left out", "reason", reason, "of", msg, "lines", left, "within", quietWindow)
	}
}

// told is err as clients and logs hear it. What it quotes is cut where it is
// quoted; this holds for what others quote.
func told(err error) string { return cut(err.Error(), maxTold) }

// cut leaves the beginning and the end of a text that has more than most bytes.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-most/4], "") + " … " + strings.ToValidUTF8(s[len(s)-most/4:], "")
}
