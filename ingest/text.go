package ingest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// What text costs once parsed, in bytes: the messages, their pointers, and a share
// of what is built from them. What a line longer than a few pages costs is many
// times its length: the parser collects each text in a buffer that grows, copies
// it once or twice, and quotes it when it is wrong.
const (
	textLineCost   = 640
	textLabelCost  = 160
	textFamilyCost = 512
	longLine       = 16 << 10
	longLineFactor = 8
)

// textCost estimates the memory that parsing b takes.
func textCost(b []byte) int64 {
	cost := int64(len(b)) + textLabelCost*int64(bytes.Count(b, []byte("=")))
	longest, last := 0, []byte(nil)
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line = b[:i]
		}
		b = b[min(len(line)+1, len(b)):]
		longest = max(longest, len(line))
		cost += textLineCost
		if name := nameOf(line); len(name) > 0 && name[0] != '#' && !bytes.Equal(name, last) {
			cost += textFamilyCost
			last = name
		}
	}
	if longest > longLine {
		cost += longLineFactor * int64(longest)
	}
	return cost
}

// nameOf returns about what stands before the labels or the value in line.
func nameOf(line []byte) []byte {
	for i, c := range line {
		if c == '{' || c == ' ' {
			return line[:i]
		}
	}
	return line
}

var textReaders = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// textOptions say how text is parsed. The zero value has no bounds.
type textOptions struct {
	utf8Names bool
	maxLabels int             // of a line; 0: no bound
	gone      <-chan struct{} // closed when the client has gone, or has only stopped sending
	patience  time.Duration   // with text that takes longer than that, once gone
}

// parseText parses the text format 0.0.4, sorted by family name. The last line
// needs its end.
func parseText(b []byte, o textOptions) ([]*dto.MetricFamily, error) {
	at, labels := firstBeyond(b, o.maxLabels)
	if at < 0 {
		return parseLines(b, o)
	}
	if _, err := parseLines(b[:at], o); err != nil {
		return nil, err // it comes first
	}
	return nil, beyondLabels(b, at, labels, o.maxLabels)
}

func parseLines(b []byte, o textOptions) ([]*dto.MetricFamily, error) {
	scheme := model.LegacyValidation
	if o.utf8Names {
		scheme = model.UTF8Validation
	}
	p := expfmt.NewTextParser(scheme) // for one text: what it takes may depend on what it has seen before
	in := textReaders.Get().(*bufio.Reader)
	defer func() {
		in.Reset(nil) // and lets go of the text
		textReaders.Put(in)
	}()
	src := &awaited{Reader: bytes.NewReader(b), gone: o.gone, patience: o.patience}
	in.Reset(src)
	families, err := guarded(p.TextToMetricFamilies, in)
	if errors.Is(err, errGone) {
		return nil, err
	}
	if err != nil {
		return nil, textError(b, len(b)-src.Len()-in.Buffered(), err)
	}
	return sorted(families), nil
}

// errGone ends the parsing of what nobody waits for.
var errGone error = goneError{}

type goneError struct{}

func (goneError) Error() string {
	return "the client has gone before its push was parsed: " + context.Canceled.Error()
}
func (goneError) Unwrap() error { return context.Canceled }

// awaited reads text as long as somebody waits for it. A client that has stopped
// sending looks like one that has gone, so it has some time.
type awaited struct {
	*bytes.Reader
	gone     <-chan struct{}
	patience time.Duration
	since    time.Time // gone was seen to be closed
}

func (a *awaited) Read(p []byte) (int, error) {
	select {
	case <-a.gone:
		if a.since.IsZero() {
			a.since = time.Now()
		}
		if time.Since(a.since) >= a.patience {
			return 0, errGone
		}
	default:
	}
	return a.Reader.Read(p)
}

// guarded turns a panic of the parser, which is not ours, into an error: no text
// may cost more than the push that brought it. The parser keeps a *bufio.Reader as
// it is, so that its position tells where it stopped.
func guarded(
	parse func(io.Reader) (map[string]*dto.MetricFamily, error), in *bufio.Reader,
) (families map[string]*dto.MetricFamily, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the parser cannot cope with this text: %v", v)
		}
	}()
	return parse(in)
}

func sorted(m map[string]*dto.MetricFamily) []*dto.MetricFamily {
	families := make([]*dto.MetricFamily, 0, len(m))
	for _, mf := range m {
		families = append(families, mf)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families
}

// textError places err, which stopped the parser after the first read bytes of
// b, at a line and column.
func textError(b []byte, read int, err error) error {
	msg := err.Error()
	if pe, ok := errors.AsType[expfmt.ParseError](err); ok {
		msg = pe.Msg
	}
	stop := max(read-1, 0)
	line := 1 + bytes.Count(b[:stop], []byte("\n"))
	start := bytes.LastIndexByte(b[:stop], '\n') + 1
	text := b[start:]
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return bodyErrorf("text format parsing error in line %d, column %d: %s%s, in %q",
		line, column(text, stop-start, msg), cut(msg, maxMessage), textHint(msg), excerpt(text))
}

// maxMessage bounds what the parser says; what it quotes may be the whole text.
const maxMessage = 280

// column is where to look, counted in bytes from 1: at the byte that stopped the
// parser or, when msg ends with the word that came before it, where that begins.
func column(text []byte, stop int, msg string) int {
	stop = min(stop, len(text))
	if word := lastQuoted(msg); word != "" && bytes.HasSuffix(text[:stop], []byte(word)) {
		stop -= len(word)
	}
	return stop + 1
}

// lastQuoted returns the text within the quotes that msg ends with; none if it is
// long, since trying every quote takes time.
func lastQuoted(msg string) string {
	if len(msg) > 10*maxMessage {
		return ""
	}
	for i := range msg {
		if msg[i] == '"' {
			if word, err := strconv.Unquote(msg[i:]); err == nil {
				return word
			}
		}
	}
	return ""
}

// textHint says what to change for errors that are hard to read.
func textHint(msg string) string {
	switch msg {
	case "unexpected end of input stream":
		return " (the last line may be cut off: end it with a newline)"
	case `expected integer as timestamp, got ""`:
		return " (remove the blank at the end of the line)"
	case `expected integer as timestamp, got "#"`:
		return " (OpenMetrics exemplars are not part of the text format: push protobuf, or leave them out)"
	}
	return ""
}

func excerpt(text []byte) string {
	const most = 120
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}
