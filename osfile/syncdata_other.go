//go:build !linux

package osfile

import "os"

// SyncData makes the content of f durable, with its length.
func SyncData(f *os.File) error { return f.Sync() }
