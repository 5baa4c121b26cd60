// Package group holds the state of the gateway and says what a change of it is.
package group
