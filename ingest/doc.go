// Package ingest is everything over HTTP that changes state: push, delete and
// wipe, from the request's path and body to the answer.
//
// A request passes through one file per step:
//
//	route.go    which route it is, and the answers of those that are none
//	path.go     the path -> grouping key
//	body.go     the body, decompressed, within its limits
//	text.go, openmetrics.go, proto.go   the body -> metric families
//	parse.go    the body -> a part: what the body means was often found out before, see
//	            scan.go, scanproto.go and shapecache.go
//	handler.go  the steps in order, and the one place that maps errors to statuses
//
// Around them upload.go sees to it that bodies come on and refusals are heard,
// budget.go counts the memory, and quiet.go keeps the log short.
//
// # Promises
//
//  1. An answer of 200 or 202 is given after the change is on disk, as far as
//     the log's fsync mode goes (promise P1).
//  2. A malformed path or body changes nothing: no group, no failure time. A
//     push that is well formed and refused sets the failure time of its group.
//  3. A client that goes away after its push was applied does not undo it.
//  4. What one request can make the process allocate is bounded, whatever its
//     body decompresses to or claims to hold, and what all of them can together
//     is bounded too. At a bound the answer is 413 or 503, and names the flag.
//  5. Every route answers as Pushgateway's does; docs/compatibility.md has the
//     rows, and the differences.
//
// # Use
//
// NewHandler serves, on a gateway, the push API below {prefix}/metrics/job
// and the wipe below {prefix}/api/v1/admin. Handler.Owns says which paths those
// are. Handler.DecodeBody belongs around every other route outside /api too,
// because Pushgateway undoes content encodings there.
package ingest
