// Package client is the pushing side: what sends to a gateway, and keeps what it
// could not send.
//
//	push.go    a push: labels -> path, body, id
//	client.go  one attempt: the request, and what its answer means
//	retry.go   attempts until one is answered
//	groups.go  what a gateway has stored
//	view.go    what its /metrics shows, and how two of them differ
//	textfile.go   a directory of files, each a group
//	points.go   a history, as pushes of one point each
//	spool.go   a directory of pushes that were not answered, for the next run
//
// # Promises
//
//  1. Do returns nil only after the gateway has answered that it keeps the push.
//  2. A push has one id, the header Idempotency-Key of each attempt, whichever run makes
//     it: a gateway that knows ids can tell a repetition from a new push.
//  3. What Spool.Add returned nil for is on disk, whole. It is sent in the order in which
//     it was added, by one process at a time, and goes when it was answered.
//  4. A spool has a bound. At the bound the oldest pushes go, and Add says how many.
//
// It knows nothing of the gateway but its API, so that it works with a Pushgateway too.
package client
