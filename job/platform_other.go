//go:build unix && !linux

package job

import "syscall"

// maxRSSUnit is what getrusage counts in.
const maxRSSUnit = 1

func attributes() *syscall.SysProcAttr { return nil }

func releaseCode() {}
