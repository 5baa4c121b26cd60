package remotewrite

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A cursor that cannot be written costs what the manual says, a repetition after a
// kill, and not the delivery.
func TestSendingGoesOnWithoutACursor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	r := &receiver{}
	l := newLife(t, dir, r, nil)
	l.put("a 1", "job", "j")
	settled(t, l.d)
	heal := breakCursor(t, dir)
	for i := 2; i < 5; i++ {
		l.put(fmt.Sprintf("a %d", i), "job", "j")
	}
	books := settled(t, l.d)
	if books.Delivered != 12 {
		t.Errorf("books %+v", books)
	}
	heal()
	l.put("a 5", "job", "j")
	settled(t, l.d)
	l.end() // in order: the positions could be written
	l = newLife(t, dir, r, nil)
	if books := settled(t, l.d); books.Accepted != 0 {
		t.Errorf("sent again: %+v", books)
	}
	l.end()
	noProblems(t, r)
}

// breakCursor makes the one cursor file in dir full, and keeps another one from
// taking its place until heal is called.
func breakCursor(t *testing.T, dir string) (heal func()) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range open {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || filepath.Dir(to) != dir || !strings.HasSuffix(to, ".cursor") {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		inTheWay := to + ".tmp"
		if err := os.MkdirAll(filepath.Join(inTheWay, "not empty"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(full.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		return func() {
			// At once, since the name is taken the moment that it is free.
			if err := os.Rename(inTheWay, dir+".aside"); err != nil {
				t.Error(err)
			}
		}
	}
	t.Fatal("no cursor file is open")
	return nil
}
