// Package chart tests the Helm chart of deploy/chart with Helm's own engine and the types
// of the API. It is a module of its own, since nothing else needs Helm.
package chart
