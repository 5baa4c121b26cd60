// Package lane answers plain pushes without net/http's server, which costs more than all
// the rest of a small push: a goroutine that watches for the end of the client while the
// handler runs, two more system calls, some forty allocations.
//
// A Listener stands before an http.Server. It reads the head of a request itself. What is a
// plain push (one piece, HTTP/1.1, PUT or POST to a path of pushes, a short body of known
// length, no query, nothing that asks the server for more) goes to the handler at once. The
// connection of anything else goes to the http.Server, with what was read of it, and
// stays there: so every question of protocol that is not plain is answered by net/http.
//
// It promises:
//
//  1. A request that the lane answers is seen by the handler, and answered, as if it had
//     gone through the http.Server; but its context does not end with the client.
//  2. What goes to the http.Server is all that the client has sent.
//  3. After Close no more connections are taken. Shutdown waits for requests that run,
//     and closes connections that are idle.
//  4. A connection holds a buffer of 4 KiB, a request no more than that and its answer.
//
// A Client is the other side: it sends plain pushes, to a replica that leads, in the
// goroutine that waits for the answer, over connections that it keeps:
//
//  5. Do knows whether a request was written to its end. What was not cannot have been
//     carried out, and is the only thing that is sent once more, where a connection that was
//     used before has ended.
//  6. A connection is used again only when its answer was plain and was read to its end.
//
// A Transport sends requests to receivers of remote write as net/http's client does, without
// the two goroutines that it has for each connection:
//
//  7. What is plain is sent, byte for byte, as net/http sends it, and answered as there. The rest
//     net/http does.
//  8. Nothing is sent twice. A connection that its server has ended is not used again.
//
// listener.go takes connections, conn.go serves one, head.go says what is plain, answer.go
// is what the handler writes to. client.go keeps connections, wire.go is one of them.
// transport.go is the Transport, with its own.
package lane
