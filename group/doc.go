// Package group has the nouns that everything speaks of, and their bytes: what was
// pushed, what a group is, and what a change of one is.
//
// A push becomes a Part: an immutable Shape (families, metrics, labels, bounds)
// and a column of values. Equal shapes are stored once. A Group is one version of
// the families under a grouping key; it never changes, a change makes another.
// A Change is what somebody asks for. A Record is what came of it: one change of one
// group, complete in itself, all that the log keeps and all that a destination needs to
// know. Group.Next says what a record makes of a group. Rules say how groups are treated.
//
// The package promises:
//
//  1. What is encoded can be read for ever: every version of the formats has golden
//     files that stay.
//  2. Damaged input yields an error, and never takes more memory than a small multiple
//     of its length (promise P6).
//  3. Everything but a Builder is immutable once it is made, so it is shared freely.
//
// What is stored at all, and in which order, is decided by package state.
//
// # Where to look
//
// key.go, shape.go, group.go, record.go, change.go and rules.go have the nouns. A push
// is built in fromdto.go and build.go, and shown again in todto.go. codec.go,
// shapecodec.go, columns.go and snapshot.go write it all down, prepare.go does so
// beforehand, and diff.go and valuediff.go as the difference to another record.
package group
