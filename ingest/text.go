package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// What a line and a label of the text format cost once parsed, in bytes: the
// messages, their pointers, and a share of what is built from them.
const (
	textLineCost  = 640
	textLabelCost = 160
)

// textCost estimates the memory that parsing b takes.
func textCost(b []byte) int64 {
	return int64(len(b)) +
		textLineCost*int64(bytes.Count(b, []byte("\n"))+1) +
		textLabelCost*int64(bytes.Count(b, []byte("=")))
}

// textParser is a parser with the reader that it keeps, whose position tells
// where the parser stopped.
type textParser struct {
	expfmt.TextParser
	in *bufio.Reader
}

var (
	legacyParsers = newTextParsers(model.LegacyValidation)
	utf8Parsers   = newTextParsers(model.UTF8Validation)
)

func newTextParsers(s model.ValidationScheme) *sync.Pool {
	return &sync.Pool{New: func() any {
		return &textParser{TextParser: expfmt.NewTextParser(s), in: bufio.NewReader(nil)}
	}}
}

// parseText parses the text format 0.0.4, sorted by family name. The last line
// needs its end.
func parseText(b []byte, utf8Names bool) ([]*dto.MetricFamily, error) {
	pool := legacyParsers
	if utf8Names {
		pool = utf8Parsers
	}
	p := pool.Get().(*textParser)
	src := bytes.NewReader(b)
	p.in.Reset(src)
	families, err := p.parse()
	if err != nil {
		return nil, textError(b, len(b)-src.Len()-p.in.Buffered(), err) // p may be unusable
	}
	pool.Put(p)
	return sorted(families), nil
}

// parse turns a panic of the parser into an error: it has them for quoted names
// of summaries and histograms that do not follow their own TYPE line.
func (p *textParser) parse() (families map[string]*dto.MetricFamily, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the parser cannot cope with this text: %v", v)
		}
	}()
	// The parser keeps a *bufio.Reader as it is, so that its position is ours.
	return p.TextToMetricFamilies(p.in)
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
		line, column(text, stop-start, msg), msg, textHint(msg), excerpt(text))
}

// column is where to look, counted in bytes from 1: at the byte that stopped the
// parser or, when msg ends with the word that came before it, where that begins.
func column(text []byte, stop int, msg string) int {
	stop = min(stop, len(text))
	if word := lastQuoted(msg); bytes.HasSuffix(text[:stop], []byte(word)) {
		stop -= len(word)
	}
	return stop + 1
}

// lastQuoted returns the text within the quotes that msg ends with.
func lastQuoted(msg string) string {
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
