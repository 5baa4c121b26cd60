package e2e

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// floorCommand, as first argument, makes a floor of the test binary.
const floorCommand = "floor"

// floor is the least that a gateway can be that has pushes on disk before it answers: it reads a
// request, writes its body to a file, syncs that once for all that wait, and answers. It
// understands nothing, shows nothing and sends nothing: what it takes, each of them does.
type floor struct {
	file *os.File

	mu       sync.Mutex
	enough   int // so many wake the writer
	wake     chan struct{}
	bodies   []byte
	waiting  int
	kept     chan struct{} // closed when what is in bodies is on disk
	end      int64         // of what was written
	zeros    int64         // how far the file reaches
	expected int
}

// startFloor starts one as a process of its own.
func startFloor(t testing.TB) *gateway {
	t.Helper()
	dir := t.TempDir()
	p, url := startOnPort(t, "floor", os.Args[0], "/", func(addr string) []string { return []string{floorCommand, addr, dir} })
	return &gateway{process: p, url: url}
}

// runFloor serves until it is killed.
func runFloor(address, dir string) error {
	file, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address) //nolint:noctx // until the process ends
	if err != nil {
		return err
	}
	f := &floor{file: file, wake: make(chan struct{}, 1), kept: make(chan struct{}), enough: 1}
	go f.write()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go f.serve(c)
	}
}

// serve answers requests, one after the other.
func (f *floor) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	room := make([]byte, 64<<10)
	for n := 0; ; {
		if n == len(room) {
			room = append(room, make([]byte, n)...)
		}
		m, err := c.Read(room[n:])
		if err != nil {
			return
		}
		n += m
		head, body, whole := bytes.Cut(room[:n], []byte("\r\n\r\n"))
		if !whole || len(body) < contentLength(head) {
			continue
		}
		if n = 0; len(body) > 0 {
			<-f.add(body)
		}
		if _, err := c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")); err != nil {
			return
		}
	}
}

func contentLength(head []byte) int {
	_, rest, _ := bytes.Cut(head, []byte("Content-Length: "))
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, _ := strconv.Atoi(string(digits)) // 0 without one
	return n
}

// add hands body to the writer, and returns what is closed when it is kept.
func (f *floor) add(body []byte) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bodies = append(f.bodies, body...)
	if f.waiting++; f.waiting >= f.enough {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	return f.kept
}

// write writes what has come, and waits for those who were just answered as long as the last
// time took.
func (f *floor) write() {
	var spare []byte
	var took time.Duration
	timer := time.NewTimer(time.Hour)
	for range f.wake {
		f.mu.Lock()
		f.enough = f.expected
		early := f.waiting < f.enough
		f.mu.Unlock()
		if early {
			timer.Reset(took)
			select {
			case <-f.wake:
			case <-timer.C:
			}
		}
		f.mu.Lock()
		batch, n, kept := f.bodies, f.waiting, f.kept
		f.bodies, f.waiting, f.kept, f.enough = spare[:0], 0, make(chan struct{}), 1
		f.mu.Unlock()
		begun := time.Now()
		f.store(batch)
		took = time.Since(begun)
		close(kept)
		spare = batch
		f.mu.Lock()
		f.expected = n + f.waiting
		f.mu.Unlock()
	}
}

// store writes over zeros, so that a sync need not write down a length.
func (f *floor) store(batch []byte) {
	const step = 1 << 20
	for f.end+int64(len(batch)) > f.zeros {
		if _, err := f.file.WriteAt(make([]byte, step), f.zeros); err != nil {
			panic(err)
		}
		f.zeros += step
	}
	_, err := f.file.WriteAt(batch, f.end)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		panic(err)
	}
	f.end += int64(len(batch))
}
