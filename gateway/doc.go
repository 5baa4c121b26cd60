// Package gateway keeps the state and the log in step: it is the one that writes
// both. A change goes into the state, which checks, orders and stamps it, from
// there into the log, and becomes visible when the log has kept it. What the
// gateway does unasked goes the same way.
//
// # Promises
//
//  1. A change that was reported as done is kept, as far as the log's store
//     promises (promise P1), and visible. One that was reported with ErrNotKept is
//     not visible, and may or may not come back after a restart.
//  2. After Open the state is the newest snapshot with the log folded over it: what
//     was visible before (promise P1).
//  3. The log has the records in the order in which the state made them (promise
//     P2). What became of a record is told to the state before any reader of the
//     log sees it.
//  4. What one caller waits for ends when the log says so, also when the caller has
//     gone.
//  5. While the gateway runs, groups end at their time, and every group's series are
//     sent again before they fade (promise P3).
//
// # Use
//
// Open reads the state back. Before Run, the cursors of the destinations are opened
// at Log. Then the log runs, and beside it Run does the upkeep:
//
//	g, err := gateway.Open(disk.New(disk.Options{Dir: "data"}), gateway.Options{})
//	go g.Log().Run(ctx)
//	go g.Run(ctx, sends)
//	id, err := g.Do(ctx, group.Change{Kind: group.KindPut, Labels: key, Part: part}, now)
//
// Stop Run before the log, so that its last snapshot is written, and then Close.
//
// # Where to look
//
// gateway.go opens, writer.go carries out changes and waits, pushid.go names their records, upkeep.go expires
// and writes snapshots, turns.go refreshes, restate.go tells the whole state once, and own.go
// says which names are the gateway's own.
package gateway
