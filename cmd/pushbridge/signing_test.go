//go:build sigv4

package main

func init() { signs = true }
