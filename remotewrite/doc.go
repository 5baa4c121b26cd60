// Package remotewrite sends what the log holds to receivers of Prometheus remote
// write, versions 1.0 and 2.0: one Destination for each section of the
// configuration, each at its own pace.
//
// # Promises
//
//  1. Order. Samples of a series that are sent for the first time are strictly
//     newer than those before, whatever fails, also over restarts. A shard has one
//     request on its way, and a batch that was tried does not change.
//  2. At least once. The cursor passes a record only when each of its samples was
//     delivered, or counted as dropped with a reason, or counted as in doubt.
//  3. What may have arrived already is never in one request with what is new: the
//     records between a cursor's acknowledged and sent positions go out alone.
//  4. The books balance: accepted = delivered + dropped + in doubt + pending, in
//     every snapshot.
//  5. Independence. A destination holds Capacity samples for each shard, and what
//     is in one batch; everything else waits in the log. Nothing that happens to
//     it reaches another destination, or a push.
//  6. One place decides what an answer means: judge, in retry.go.
//
// # Flow
//
//	queue.Reader ─► dispatcher ─► inbox of a shard (hash of the job)
//	                                    │
//	                                gatherer ── stage: convert, relabel, markers ─► batch
//	                                                                                  │
//	cursor ◄── progress ◄── books ◄── settlement ◄── judge ◄── line ◄── sender: encode 1.0 or 2.0
//
// # Use
//
//	c := remotewrite.DefaultConfig(url)
//	cursor, _, err := log.OpenCursor(c.ID(), c.Shards())
//	o := remotewrite.Options{Log: log, Cursor: cursor, State: …} // gateway.Gateway.Restate
//	d, err := remotewrite.NewDestination(c, o)
//	err = d.Run(ctx)
//
// # Where to look
//
// destination.go makes and runs one, dispatch.go, inbox.go and shard.go hand records out.
// gather.go and batch.go make requests of them, with the series of stage.go, relabel.go,
// dedup.go, exemplars.go and unsendable.go. sender.go sends: encode1.go, encode2.go and
// wire.go write, line.go, attempt.go, client.go and departure.go try, retry.go and
// negotiate.go judge. Refusals are looked into by isolate.go, stumble.go, stuck.go,
// troubled.go and natives.go. What became of samples is found out in settled.go, kept in
// books.go and progress.go, and told in report.go, refusals.go, blame.go, metrics.go and
// status.go. restate.go, naming.go and backfill.go send the state beside the log;
// config.go, identity.go, place.go and signing.go are about sections.
//
// Each rule of the protocol, and the test that shows it, is in
// docs/remote-write.md.
package remotewrite
