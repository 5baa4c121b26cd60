//go:build unix

package lane

import (
	"errors"
	"net"
	"syscall"
)

// canLook says whether quiet can tell.
const canLook = true

// quiet reports whether c is open, with nothing to be read: what a connection without a
// request should be.
func quiet(c net.Conn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		open = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && open
}
