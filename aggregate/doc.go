// Package aggregate adds what is pushed to what a group has, where a rule says so:
// counters, histograms and summaries are added up, gauges by the rule. It is pure: what
// comes out follows from the group, the push and the rule.
//
// It promises:
//
//  1. Nothing that is passed in changes, and what comes out says the sums themselves: who
//     folds it into a group needs neither the rule nor the push.
//  2. What cannot be added up exactly is refused, with what to do: counts are never
//     guessed. Only sums of floats are as exact as floats are.
//  3. It costs as much as the push has series, while those are known and no others come.
//     A series that is new costs as much as its family has.
//
// Prepare comes first and looks at the push alone. Merge then adds it to the group.
// values.go has what becomes of single numbers, series.go that of what is not laid out
// alike, bounds.go and native.go that of buckets.
package aggregate
