// Package jetstream holds pushbridge to what it promises on a NATS JetStream cluster:
// three real servers, and as many gateways as a test wants, on loopback. It is a module of
// its own, so that the server is no dependency of what ships.
package jetstream
