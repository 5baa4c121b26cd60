// Package e2e tests the built pushbridge binary from the outside: against real
// backends, real clients, a real browser and the real Pushgateway.
//
// It is a module of its own, so that what only a test needs (a time series
// database, a query engine, a browser driver) stays out of pushbridge's go.mod.
//
// Promises of the harness:
//
//  1. A program that a test needs and that is not installed makes the test
//     fail, and the message says how to install it. No test is skipped.
//  2. Everything listens on 127.0.0.1 only, on ports that the kernel chose.
//  3. Every process ends with its test, and all data lies in the test's
//     temporary directory.
//  4. Tests wait for facts (an answer, a metric, a stored sample), never for
//     time to pass.
//
// Run it with "make e2e", or here with "go test ./...". The figures of
// docs/benchmarks.md come from "go test -run '^$' -bench . -benchtime 1x .".
package e2e
