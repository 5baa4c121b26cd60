// Package config reads the configuration file: Prometheus' remote_write sections
// and external labels, and what pushbridge adds to them.
//
// It promises:
//
//  1. A whole prometheus.yml can be used. What of it has no effect here is named,
//     and a key that neither Prometheus nor pushbridge knows is an error.
//  2. An error says in the words of the file, with the line where the decoder knows
//     it, what to change. It never shows a secret.
//  3. Loading changes nothing: what it returns can be thrown away.
//
// [Load] is for the start and for each reload; [Check] is for people.
package config
