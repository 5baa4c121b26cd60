package remotewrite

import (
	"errors"
	"fmt"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/group"
)

// What a receiver has refused for good is kept with what it said: dead letters. They are
// on disk before the cursor passes the record that they are from.

// wantsToKnow says whether it matters which samples were refused, not only how many.
func (s *settlement) wantsToKnow() bool { return s.d.o.Letters != nil && !s.batch.kind.unstored() }

// bury makes letters of what was lost, while its series are there. What the log never
// had is not in the books, and no loss.
func (s *settlement) bury(lost *blame) {
	if !s.wantsToKnow() || !lost.why.failed() {
		return
	}
	for _, g := range lost.some {
		s.letter(lost, g.series, g.lost, true)
	}
	s.lettersOf(lost, lost.sure, false)
	s.lettersOf(lost, lost.guess, true)
}

// lettersOf makes one for each record. Series come in the order of records.
func (s *settlement) lettersOf(lost *blame, series []convert.Series, guess bool) {
	for from := 0; from < len(series); {
		to := from + 1
		for to < len(series) && series[to].Record == series[from].Record {
			to++
		}
		s.letter(lost, series[from:to], to-from, guess)
		from = to
	}
}

// letter makes one of series, of which so many were lost.
func (s *settlement) letter(lost *blame, series []convert.Series, samples int, guess bool) {
	s.batch.letters = append(s.batch.letters, deadletter.Letter{
		Destination: s.d.ID(), Shard: s.batch.shard, Seq: s.batch.seqOf(&series[0]), Group: s.batch.groupOf(&series[0]).Brief(),
		Reason: lost.why.String(), Status: lost.status, Text: lost.text, Time: s.d.now().UTC(),
		Samples: uint64(samples), Series: len(series), Guess: guess, Body: packLetter(series),
	})
}

// seqOf returns the record of x, a series of b.
func (b *batch) seqOf(x *convert.Series) uint64 {
	for i := range b.parts {
		if b.parts[i].item.mark == x.Record {
			return b.parts[i].item.seq
		}
	}
	return b.last
}

// keepLetters writes the letters of b. Where that fails the loss is told, and sending goes
// on: it must not depend on a disk that keeps what was lost.
func (d *Destination) keepLetters(b *batch) {
	if len(b.letters) == 0 {
		return
	}
	if err := d.o.Letters.Append(b.letters); err != nil {
		d.report.lettersFailed(err)
	}
	b.letters = nil
}

// settleLetters takes back what an earlier run wrote down of records that go out again.
func (d *Destination) settleLetters() {
	if d.o.Letters == nil {
		return
	}
	acked := make([]uint64, d.cursor.Shards())
	for i := range acked {
		acked[i], _ = d.cursor.Position(i)
	}
	if err := d.o.Letters.Settle(d.ID(), acked); err != nil {
		d.report.lettersFailed(err)
	}
	d.o.Letters.Leave(d.ID())
}

// packLetter writes series as a request of 2.0, without exemplars: what is asked for once
// more is the samples.
func packLetter(series []convert.Series) []byte {
	return snappy.Encode(nil, new(encoder2).append(nil, withoutExemplars(series)))
}

// maxLetterBody bounds what a letter may unpack to.
const maxLetterBody = 64 << 20

var errLetter = errors.New("the samples of a dead letter cannot be read")

// unpackLetter reads what packLetter wrote.
func unpackLetter(body []byte) ([]convert.Series, error) {
	if n, err := snappy.DecodedLen(body); err != nil || n > maxLetterBody {
		return nil, errLetter
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLetter, err)
	}
	var m writev2.Request
	if err := m.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("%w: %w", errLetter, err)
	}
	out := make([]convert.Series, 0, len(m.Timeseries))
	for i := range m.Timeseries {
		x, ok := seriesOfRequest(&m.Timeseries[i], m.Symbols)
		if !ok {
			return nil, errLetter
		}
		out = append(out, x)
	}
	return out, nil
}

func seriesOfRequest(ts *writev2.TimeSeries, symbols []string) (x convert.Series, ok bool) {
	text := func(ref uint32) string {
		if int(ref) >= len(symbols) {
			return ""
		}
		return symbols[ref]
	}
	if len(ts.LabelsRefs) == 0 || len(ts.LabelsRefs)%2 != 0 || len(ts.Samples)+len(ts.Histograms) != 1 {
		return x, false
	}
	for i := 0; i < len(ts.LabelsRefs); i += 2 {
		x.Labels = append(x.Labels, group.Label{Name: text(ts.LabelsRefs[i]), Value: text(ts.LabelsRefs[i+1])})
	}
	x.Family = convert.FamilyInfo{
		Name: group.Labels(x.Labels).Get(nameLabel), Help: text(ts.Metadata.HelpRef), Unit: text(ts.Metadata.UnitRef),
		Type: typeOfMetadata2(ts.Metadata.Type),
	}
	if len(ts.Samples) == 1 {
		s := &ts.Samples[0]
		x.Time, x.Value, x.Start, x.Stale = s.Timestamp, s.Value, s.StartTimestamp, value.IsStaleNaN(s.Value)
		return x, true
	}
	h := &ts.Histograms[0]
	x.Time, x.Start, x.Stale = h.Timestamp, h.StartTimestamp, value.IsStaleNaN(h.Sum)
	if h.IsFloatHistogram() {
		x.FloatHist = h.ToFloatHistogram()
	} else {
		x.Hist = h.ToIntHistogram()
	}
	return x, true
}

// typeOfMetadata2 is metadataType2 backwards.
func typeOfMetadata2(m writev2.Metadata_MetricType) group.Type {
	for _, t := range []group.Type{group.Counter, group.Gauge, group.Summary, group.Histogram, group.GaugeHistogram} {
		if metadataType2(t) == m {
			return t
		}
	}
	return group.Untyped
}
