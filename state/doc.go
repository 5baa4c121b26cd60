// Package state holds the groups and decides what may change them: it checks a change
// against all that is there, finds what it ends, stamps it, and folds it in once it is
// kept.
//
// The Store promises:
//
//  1. A change that was refused leaves no trace: not in the view, not in the
//     log, not in what later changes are checked against.
//  2. Records are stamped so that the samples of each series, markers included,
//     are strictly newer than those before, whatever the clock does, also across
//     groups, failed commits and restarts (promise P2).
//  3. Record.Ended holds exactly the series that were delivered and are no more,
//     each once (promise P3).
//  4. What a change costs depends on the size of the push and of what it
//     replaces, not on what else is stored (promise P7). Only telling what a
//     push collides with looks further, into the one group concerned.
//  5. Readers see one consistent committed state, and do not wait for changes, but for Lookup
//     of one group, and View for the keys of pushes.
//  6. The state after a restart, folded from snapshot and log, equals the
//     committed state before.
//
// # Use
//
// A change goes through Apply, which checks it, finds what it ends, stamps it and
// calls enqueue, all in one critical section, so that the order of the log is the
// order of the checks; a large one does the same in steps, see largeChange. The group
// then has a pending version, which later checks see and readers do not. Once the
// record is durable, Fold makes that version visible. When records fail, Abort
// throws away everything that is pending, and the log refuses what was made from it:
// that is what a record's Generation is for.
//
//	err := store.Apply(change, now, func(r *group.Record) {
//		err := log.Append(r, r.Generation, func(seq uint64, err error) {
//			if err != nil {
//				store.Abort(log.Generation())
//				return
//			}
//			store.Fold(r, seq)
//		})
//	})
//
// Fold is the only way in: records that others made go the same way, in the order of
// the log, and are visible and checked against right afterwards. At the start Bulk makes
// it fast: Load if there is a snapshot, Fold for each record behind it. Expire, Refresh,
// Wipe and DeleteAll go through the same sequence as pushes.
//
// # Where to look
//
// One lock guards the state; each of these guards an invariant under it, and says so:
//
//	gate          who may change what now: a large change holds its group, see largeChange
//	turn          one stay in the critical section: a change is given its place (sequence.go)
//	checker       what must be refused, and what is not delivered, against pending
//	pending       the newest version of every group: a table, and the index of all of them
//	components    what a transition ends
//	keys          which pushes are in the sums of groups
//	clock         timestamps that go forward, with floors for each job
//	pendingQueue  what was enqueued and is not folded in (queue.go)
//	shown         what readers see, under a lock of its own
//
// What the gateway does of itself is in ending.go, refresh.go and policy.go.
package state
