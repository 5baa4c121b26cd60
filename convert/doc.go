// Package convert turns a record of the log into what remote write sends: time
// series with a timestamp, and stale markers for the series that ended. It is
// pure: what comes out follows from the record and the options alone, so a
// destination may convert a record again after a restart and gets the same
// samples, bit for bit.
//
// It promises:
//
//  1. Labels are sorted by name, without duplicates and empty values, with
//     __name__ among them; grouping labels override a metric's own.
//  2. Every sample of a record has the record's timestamp, except metrics that
//     were pushed with an explicit one.
//  3. Values pass bit for bit, but the bits of a stale marker never come out of
//     a pushed value.
//  4. Nothing is lost without a count: for every record, series plus Skipped of
//     Append and AppendEnded together are Record.Samples.
//  5. No label set gets a stale marker at the time of a sample of the same record,
//     also after relabelling: Markers compares label sets, not metrics. Where
//     another kind of series ended under the same labels, its marker is a
//     millisecond older; that is never what the series had before.
//
// A sender keeps one Converter per shard and works through records like this:
//
//	live, skipped := c.Append(live[:0], r, o)
//	ended, unsent := c.AppendEnded(ended[:0], r, o)
//	... external labels, relabelling, of both ...
//	live = c.Markers(live, ended, live)
//	... encode ...
//	c.Reset()
//
// Label slices, histograms and exemplars of what it returns are the Converter's
// until the next Reset; strings and bucket counts are shared with the record
// and never change. How each metric type maps to series is told, with examples,
// in docs/conversion.md.
package convert
