package job

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// releaseCode gives back the pages of the program's own code and constants while there is
// nothing to do but to wait: they are most of what the process holds, since the gateway is
// in the same file. What is needed again is read again, mostly from the page cache. Mappings
// that can be written to are left alone.
func releaseCode() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range bytes.Lines(maps) {
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(string(line), "%x-%x %s", &from, &to, &mode); err != nil {
			continue
		}
		if bytes.HasSuffix(bytes.TrimSpace(line), []byte(" "+exe)) && (mode == "r-xp" || mode == "r--p") {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED) // if not, not
		}
	}
}
