package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const inNamespace = "PUSHBRIDGE_TEST_IN_NAMESPACE"

// smallSegments have 64 KiB of zeros ahead of their records: so long pushes find room on a full disk.
const smallSegments = "--storage.max-bytes=1MiB"

// TestFullDisk puts the storage directory on a small file system, fills it, makes
// it read-only, and gives the room back: pushes are answered 503 with Retry-After
// as long as they cannot be kept, nothing that was acknowledged is lost, and it
// all heals without a restart.
func TestFullDisk(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	f := newFault(t, "tmpfs")
	f.start(t, "--storage.min-free-bytes=0", smallSegments)
	f.pushUntil(t, http.StatusOK)

	filler := filepath.Join(f.dir, "backdoor", "filler")
	fill(t, filler)
	text := f.pushUntil(t, http.StatusServiceUnavailable)
	if !strings.Contains(text, "no space left on device") {
		t.Errorf("the answer does not name the cause: %s", text)
	}
	f.unready(t, "no space left on device")
	f.arrive(t) // what was acknowledged does not wait for the disk

	f.readOnly(t, true)
	remove(t, filler)
	f.unready(t, "read-only file system")
	f.readOnly(t, false)
	f.server.ready(t)
	f.pushUntil(t, http.StatusOK)
	f.arrive(t)

	// A process that dies while the disk is full comes back, and waits for room.
	fill(t, filler)
	f.pushUntil(t, http.StatusServiceUnavailable)
	f.server.kill()
	remove(t, filler)
	f.start(t, "--storage.min-free-bytes=0", smallSegments)
	f.pushUntil(t, http.StatusOK)
	f.arrive(t)
	if code := f.server.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, f.server.tail())
	}
}

// TestStartOnFullDisk starts on a disk without any room: what is there can be
// read and sent, pushes wait for room.
func TestStartOnFullDisk(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	f := newFault(t, "tmpfs")
	f.start(t, "--storage.min-free-bytes=0", smallSegments)
	f.pushUntil(t, http.StatusOK)
	if code := f.server.stop(t); code != 0 { // a kill would leave zeros ahead of the records, which give way to a new segment
		t.Errorf("exit code %d\n%s", code, f.server.tail())
	}
	filler := filepath.Join(f.dir, "backdoor", "filler")
	fill(t, filler)
	f.start(t, "--storage.min-free-bytes=0", smallSegments)
	f.unready(t, "no space left on device")
	f.arrive(t)
	remove(t, filler)
	f.server.ready(t)
	f.pushUntil(t, http.StatusOK)
	f.arrive(t)
}

// TestReject holds --storage.on-full=reject to what it says: at the bound pushes
// are answered 503, nothing is dropped, and they are taken again when the
// destination has caught up.
func TestReject(t *testing.T) {
	f := newFault(t, "")
	f.receiver.trouble(1, 0)
	f.start(t, "--storage.min-free-bytes=0", "--storage.max-bytes=64KiB", "--storage.on-full=reject", "--refresh.interval=0")
	f.pushUntil(t, http.StatusServiceUnavailable)
	f.unready(t, "the log is full")
	f.receiver.trouble(0, 0)
	f.server.ready(t)
	f.pushUntil(t, http.StatusOK)
	f.arrive(t)
	if n := readMetrics(t, f.url)["pushbridge_queue_dropped_samples_total{}"]; n != 0 {
		t.Errorf("%v samples were dropped", n)
	}
}

// ownMounts reports whether the test runs in a mount namespace of its own. If it
// does not, it runs the test again in one. Root can have one, and elsewhere who
// may have a user namespace; without either the test fails, as nothing is shown.
func ownMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) == t.Name() {
		return true
	}
	uid, gid := os.Getuid(), os.Getgid()
	asRoot := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	asUser := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: gid, Size: 1}},
	}
	out, err := runAgain(t, asRoot)
	if errors.Is(err, os.ErrPermission) {
		out, err = runAgain(t, asUser)
	}
	switch {
	case errors.As(err, new(*exec.ExitError)):
		t.Errorf("in its namespace:\n%s", out)
	case err != nil:
		t.Errorf("this test mounts a file system: it needs root, or user namespaces as of unshare -rm: %v", err)
	}
	return false
}

func runAgain(t *testing.T, attr *syscall.SysProcAttr) ([]byte, error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), inNamespace+"="+t.Name())
	cmd.SysProcAttr = attr
	return cmd.CombinedOutput()
}

// fault is a server whose disk or receiver is in trouble.
type fault struct {
	binary, dir string
	receiver    *strictReceiver
	target      string
	pusher      *ledger
	client      *http.Client
	server      *server
	url         string
}

// newFault makes the storage directory, on a file system of 1 MiB if one is
// named, which can then also be reached as backdoor.
func newFault(t *testing.T, filesystem string) *fault {
	t.Helper()
	f := &fault{
		binary: serverBinary(t), dir: t.TempDir(),
		receiver: newStrictReceiver(*crashSeed, false), pusher: newLedger(*crashSeed, 0),
		client: &http.Client{Timeout: time.Minute},
	}
	f.pusher.made = func(*ledger) {}
	srv := httptest.NewServer(f.receiver)
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	f.target = srv.URL
	data, backdoor := filepath.Join(f.dir, "data"), filepath.Join(f.dir, "backdoor")
	if err := errors.Join(os.Mkdir(data, 0o755), os.Mkdir(backdoor, 0o755)); err != nil {
		t.Fatal(err)
	}
	if filesystem != "" {
		mount(t, filesystem, data, filesystem, 0, "size=1m")
		mount(t, data, backdoor, "", syscall.MS_BIND, "")
	}
	return f
}

func mount(t *testing.T, source, target, filesystem string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, filesystem, flags, data); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
	if flags&syscall.MS_REMOUNT == 0 {
		t.Cleanup(func() { _ = syscall.Unmount(target, syscall.MNT_DETACH) }) // goes with the namespace otherwise
	}
}

// readOnly puts a read-only view of the storage directory over it, or takes it
// away: a file system that is written to cannot be remounted.
func (f *fault) readOnly(t *testing.T, on bool) {
	t.Helper()
	data := filepath.Join(f.dir, "data")
	if on {
		mount(t, filepath.Join(f.dir, "backdoor"), data, "", syscall.MS_BIND, "")
		mount(t, "", data, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
		return
	}
	if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

func (f *fault) start(t *testing.T, args ...string) {
	t.Helper()
	config := fmt.Sprintf("remote_write: [{url: %q, queue_config: {min_backoff: 5ms, max_backoff: 50ms}}]\n", f.target)
	if err := os.WriteFile(filepath.Join(f.dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--storage.path=data", "--config.file=config.yml", "--log.level=warn"}, args...)
	f.server = startServer(t, f.binary, f.dir, args...)
	f.url = f.server.listening(t)
}

// pushUntil pushes until the answer has the status, and returns the answer. It
// waits for the disk no longer than what is left in a segment lasts.
func (f *fault) pushUntil(t *testing.T, status int) string {
	t.Helper()
	for range 2000 {
		f.pusher.n++
		a := put(t, f.client, f.url+f.pusher.path, f.pusher.body())
		switch {
		case a.status == http.StatusOK:
			f.pusher.settle(f.pusher.n)
		case a.retryAfter == "":
			t.Errorf("%d without Retry-After: %s", a.status, a.text)
		}
		if a.status == status {
			return a.text
		}
	}
	t.Fatalf("2000 pushes, and none was answered %d\n%s", status, f.server.tail())
	return ""
}

// unready waits until the server is not ready for the given reason; it lives all
// the same, and shows it.
func (f *fault) unready(t *testing.T, reason string) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		status, text := f.get(t, "/-/ready")
		last = fmt.Sprintf("%d %s", status, text)
		if status == http.StatusServiceUnavailable && strings.Contains(text, reason) {
			break
		}
	}
	if !strings.Contains(last, reason) {
		t.Fatalf("/-/ready answers %s, want 503 and %q\n%s", last, reason, f.server.tail())
	}
	if status, _ := f.get(t, "/-/healthy"); status != http.StatusOK {
		t.Errorf("/-/healthy is answered %d", status)
	}
	if v, ok := readMetrics(t, f.url)["pushbridge_queue_available{}"]; !ok || v != 0 {
		t.Errorf("pushbridge_queue_available is %v", v)
	}
}

func (f *fault) get(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		t.Fatalf("%v\n%s", err, f.server.tail())
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// arrive waits until all that was acknowledged has arrived, in order, and is
// shown.
func (f *fault) arrive(t *testing.T) {
	t.Helper()
	missing := 0
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if missing = f.pusher.missing(f.receiver); missing == 0 {
			break
		}
	}
	if missing > 0 {
		t.Fatalf("%d of %d pushes were acknowledged and do not arrive\n%s", missing, len(f.pusher.log), f.server.tail())
	}
	f.receiver.mu.Lock()
	defer f.receiver.mu.Unlock()
	if v := f.receiver.violations; len(v) > 0 {
		t.Errorf("promise P2 broken: %s", strings.Join(v, "\n"))
	}
	if shown := readMetrics(t, f.url)[f.pusher.series]; shown != f.pusher.now {
		t.Errorf("/metrics shows %v, acknowledged was %v", shown, f.pusher.now)
	}
}

// fill writes to a file until the file system is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(page)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill: %v", err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
