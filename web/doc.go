// Package web shows the state over HTTP, and changes nothing: the /metrics view,
// the JSON API, the status page, health and profiles. What it promises:
//
//  1. The views show what is committed, that is on disk, and nothing else
//     (promise P1). Each answer shows every group at one moment.
//  2. Readers never hold up a push: they work on immutable versions of groups.
//  3. The views of Pushgateway 1.11 are matched byte for byte wherever a client
//     could look: /metrics, /api/v1/metrics, /api/v1/status, /-/healthy,
//     /-/ready, and the answers to other methods (promise P8).
//  4. The memory that an answer takes does not grow with the number of series:
//     /metrics and the API stream, the page has a fixed number of rows.
//  5. Whatever was pushed is shown as text. The page loads nothing from
//     elsewhere, and its content security policy has no exceptions.
//
// New takes what the views need, the other packages' part as plain values and
// functions. Each route is a method that returns its handler, so that the table
// of routes can name them. Links on the page are relative: it works behind any
// route prefix or external URL, as long as its own path ends in a slash or in
// /status.
//
// The files that begin with exposition are about /metrics, those with api about the
// API, status.go and groupview.go about the page; method.go guards them all.
package web
