// Package pgfile is the persistence file of Pushgateway 1.x: its bytes, and the
// keeping of one beside the state.
//
// It promises:
//
//  1. What [Write] writes, Pushgateway reads, and [Read] brings back the same groups:
//     metrics, push times and failure times.
//  2. A file that another one has written is taken over group by group: a push that
//     is newer wins, and a group that is missing there stays.
//  3. A file with anything that could not be taken over is never lost: it is kept
//     beside before it is written the first time.
//  4. Whatever the file holds, reading it ends in groups or in an error.
//
// A [Keeper] does 2 and 3: [Keeper.Run] takes the file over and writes it whenever
// there were changes, and [Keeper.Wait] tells when the first has been done.
package pgfile
