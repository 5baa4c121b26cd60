package remotewrite

import (
	"time"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// sendable leaves out what must not be sent at all.
func (s *settlement) sendable() []convert.Series {
	series := s.batch.series
	now := s.d.now()
	limit := now.Add(group.MaxAhead).UnixMilli()
	series = s.leave(series, clockAhead, func(x *convert.Series) bool { return x.Time > limit })
	s.d.noteAhead(s.batch, now)
	if s.batch.protocol == Protocol1 {
		series = s.leave(series, nhcbNotSupported, customBuckets)
	}
	if !s.d.sendsNatives(s.batch.protocol) {
		series = s.leave(series, nativeNotSent, native)
	}
	return series
}

// fresh leaves out what is older than sample_age_limit (rule R-6).
func (s *settlement) fresh(series []convert.Series) []convert.Series {
	limit := time.Duration(s.d.config.Queue.SampleAgeLimit)
	if limit <= 0 {
		return series
	}
	oldest := s.d.now().Add(-limit).UnixMilli()
	return s.leave(series, tooOld, func(x *convert.Series) bool { return x.Time < oldest })
}

// leave leaves out what drop says. What is left is in new memory if anything is
// dropped: a batch that was tried stays what it was.
func (s *settlement) leave(series []convert.Series, why reason, drop func(*convert.Series) bool) []convert.Series {
	if indexSeries(series, drop) < 0 {
		return series
	}
	var kept, gone []convert.Series
	for i := range series {
		if drop(&series[i]) {
			gone = append(gone, series[i])
		} else {
			kept = append(kept, series[i])
		}
	}
	s.giveUp(gone, refusal{why: why})
	return kept
}

// customBuckets says whether s is a histogram with custom buckets.
func customBuckets(s *convert.Series) bool {
	const schema = -53
	return s.Hist != nil && s.Hist.Schema == schema || s.FloatHist != nil && s.FloatHist.Schema == schema
}
