// Package replica is what several gateways on one log do for each other: a push that comes
// to one of them is carried out by the one that leads, and held while none does.
//
// # Promises
//
//  1. A push is answered as the one that leads has answered it, and when it can be read
//     here too, or a moment later where this replica is slow.
//  2. A push whose answer was lost is looked for in the log. It is carried out again only
//     when it is known not to be kept: its record is not there, and whoever was asked leads
//     no longer. When that does not become known in time the answer says so: 503.
//  3. While nobody leads pushes wait, no longer than HoldTimeout, and in the memory that
//     pushes have in any case.
//  4. A request is forwarded once. Who is asked and does not lead says so.
//
// # Where to look
//
// forward.go is the way of a request, attempt.go one try, at another replica or here, way.go
// how that one is reached, watch.go how long it is waited for, answer.go what came of it.
// peers.go knows who there is, ready.go whether this one is of use.
package replica
