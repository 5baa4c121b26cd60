package ingest

import (
	"bytes"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// bodyParser turns bodies into parts, within the memory that all pushes share.
type bodyParser struct {
	limits    Limits
	utf8Names bool
	build     group.BuildOptions
	maxAge    time.Duration
	now       func() time.Time
	budget    *budget
	turns     chan struct{} // holds one for each large push that is being parsed
	shapes    *shapeCache
	decoded   atomic.Uint64 // bytes, after decompression
}

func newBodyParser(share func(*group.Shape) *group.Shape, o Options, l Limits, now func() time.Time) *bodyParser {
	return &bodyParser{
		limits: l, utf8Names: o.UTF8Names, maxAge: o.MaxAge, now: now,
		build: group.BuildOptions{
			AcceptTimestamps: o.AcceptTimestamps,
			MaxLabels:        l.MaxLabels, MaxLabelName: l.MaxLabelLength, MaxLabelValue: l.MaxLabelLength,
		},
		budget: &budget{limit: l.MaxInFlightBytes},
		turns:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		shapes: newShapeCache(o.ShapeCacheBytes, share),
	}
}

// part reads the body of a push, and makes a part of it.
func (b *bodyParser) part(r *http.Request, l *lease) (*group.Part, error) {
	buf, err := readBody(r, b.limits, l)
	defer recycle(buf)
	if err != nil {
		return nil, err
	}
	b.decoded.Add(uint64(len(*buf)))
	parse := b.text
	switch {
	case saysText(r):
	case isProtobuf(r):
		parse = b.proto
	case isOpenMetrics(r):
		parse = b.openMetrics
	}
	p, err := parse(r, *buf, l)
	if err != nil {
		return nil, err
	}
	return p, l.settle(recordCost * int64((&group.Record{Part: p}).Size()))
}

// saysText reports whether a request says that its body is some kind of text, as nearly all do:
// it is neither of the others then, whatever parameters follow.
func saysText(r *http.Request) bool {
	const text = "text/"
	t := strings.TrimLeft(r.Header.Get("Content-Type"), " \t")
	return len(t) >= len(text) && strings.EqualFold(t[:len(text)], text)
}

// recordCost is how many times its size a record takes until it is written: as
// it is, encoded, compressed, and in the batch that is written.
const recordCost = 4

func (b *bodyParser) proto(r *http.Request, body []byte, l *lease) (*group.Part, error) {
	return b.shapes.part(protoScanner{}, body, func(body []byte) (*group.Part, error) { return b.parseProto(r, body, l) })
}

func (b *bodyParser) parseProto(r *http.Request, body []byte, l *lease) (*group.Part, error) {
	done, err := b.turn(l, protoCost(body))
	if err != nil {
		return nil, err
	}
	defer done()
	families, err := parseProto(body, b.limits.MaxDecodedBytes)
	if err != nil {
		return nil, hintEncoding(r, body, err)
	}
	return group.FromDTO(families, b.options())
}

func (b *bodyParser) text(r *http.Request, body []byte, l *lease) (*group.Part, error) {
	oneLine := bytes.IndexByte(body, '\n') < 0
	text := normalizeText(body, lengthKnown(r))
	p, err := b.shapes.part(textScanner{}, text, func(text []byte) (*group.Part, error) { return b.parseText(r, text, l) })
	if _, ok := errors.AsType[*MalformedError](err); !ok {
		return p, err
	}
	if oneLine && lengthKnown(r) {
		err = bodyErrorf("%w (the body has no line end at all: curl -d strips them, use --data-binary)", err)
	}
	return nil, hintEncoding(r, text, err)
}

// parsePatience is how long parsing goes on for a client that has gone.
const parsePatience = 10 * time.Second

// parseText is the full parser, which decides what a text means.
func (b *bodyParser) parseText(r *http.Request, text []byte, l *lease) (*group.Part, error) {
	done, err := b.turn(l, textCost(text))
	if err != nil {
		return nil, err
	}
	defer done()
	families, err := parseText(text, textOptions{
		utf8Names: b.utf8Names, maxLabels: b.limits.MaxLabels, gone: r.Context().Done(), patience: parsePatience,
	})
	if err != nil {
		return nil, err
	}
	return group.FromDTO(families, b.options())
}

// options says what a push may hold at this moment.
func (b *bodyParser) options() group.BuildOptions {
	o := b.build
	if o.AcceptTimestamps {
		now := b.now()
		o.Newest = now.Add(group.MaxAhead).UnixMilli()
		if b.maxAge > 0 {
			o.Oldest = now.Add(-b.maxAge).UnixMilli()
		}
	}
	return o
}

// largePush is what a push costs that waits for its turn to be parsed.
const largePush = 16 << 20

// turn charges l for the parsing of a body. Large ones are parsed by as many at
// a time as there are processors: more would take memory, and be done no sooner.
func (b *bodyParser) turn(l *lease, cost int64) (done func(), err error) {
	done = func() {}
	if cost >= largePush {
		b.turns <- struct{}{}
		done = func() { <-b.turns }
	}
	if err := l.take(cost); err != nil {
		done()
		return nil, err
	}
	return done, nil
}
