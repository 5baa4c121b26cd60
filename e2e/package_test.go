package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestDebianPackage installs the package in a copy of this system that is thrown away,
// has systemd's own tools read its unit, starts it as the user that it makes, and
// purges it.
func TestDebianPackage(t *testing.T) {
	need(t, "/usr/bin/systemd-analyze", "systemd")
	need(t, "/usr/bin/dpkg-deb", "dpkg")
	deb := filepath.Join(t.TempDir(), "pushbridge.deb")
	build := exec.CommandContext(t.Context(), "../deploy/debian/build", pushbridgePath, "all", "0.1.0", deb)
	build.Env = append(os.Environ(), "COMPRESS=none")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// Changes to files go to memory, and with the namespace; processes end with it too.
	args := []string{"--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-eu", "testdata/package/install.sh", t.TempDir(), deb}
	if os.Geteuid() != 0 {
		args = append([]string{"--map-root-user"}, args...)
	}
	out, err := exec.CommandContext(t.Context(), "/usr/bin/unshare", args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all is well") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestContainer runs what the Containerfile says in a folder that holds what it copies and
// nothing else, of which only the volume can be written to: without a container tool, but
// with the same view. The binary needs no library, no user, no /tmp, no /proc.
func TestContainer(t *testing.T) {
	c := readContainerfile(t)
	root := t.TempDir()
	for _, dir := range []string{"bin", "etc/ssl/certs", "data"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, pushbridgePath, filepath.Join(root, "bin/pushbridge"))
	if err := os.Chown(filepath.Join(root, "data"), c.user, c.user); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir, cmd.Env = "/", c.env
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: root, Credential: &syscall.Credential{Uid: uint32(c.user), Gid: uint32(c.user)}, Pdeathsig: syscall.SIGKILL,
		}
		return cmd
	}
	var said strings.Builder
	gateway := run(append(c.entrypoint, "--web.listen-address=127.0.0.1:0", "--web.listen-address-file=/data/address")...)
	gateway.Stdout, gateway.Stderr = &said, &said
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	eventually(t, "health", func() error {
		b, err := os.ReadFile(filepath.Join(root, "data/address"))
		if err != nil {
			return err
		}
		address = strings.TrimSpace(string(b))
		if out, err := run(append(c.health, "--url="+address)...).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	must(t, "PUT", "http://"+address+"/metrics/job/x", "m 1\n")
	if err := gateway.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := gateway.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
	if out, err := run(append(c.health, "--url="+address)...).CombinedOutput(); err == nil {
		t.Errorf("healthy after its end: %s", out)
	}
	onlyIn(t, root, "bin/pushbridge", "data/")
}

// onlyIn fails for files elsewhere.
func onlyIn(t *testing.T, root string, allowed ...string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, root+"/")
		if err != nil || d.IsDir() {
			return err
		}
		for _, prefix := range allowed {
			if strings.HasPrefix(name, prefix) {
				seen++
				return nil
			}
		}
		t.Errorf("%s was written", name)
		return nil
	})
	if err != nil || seen < 3 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// containerfile is what the last stage says about running.
type containerfile struct {
	env                []string
	user               int
	entrypoint, health []string
}

func readContainerfile(t *testing.T) (c containerfile) {
	t.Helper()
	b, err := os.ReadFile("../deploy/container/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, stage, ok := strings.Cut(string(b), "\nFROM scratch\n")
	if !ok {
		t.Fatal("no FROM scratch")
	}
	list := func(line string) (words []string) {
		if err := json.Unmarshal([]byte(line[strings.Index(line, "["):]), &words); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return words
	}
	for line := range strings.Lines(stage) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ENV":
			c.env = append(c.env, rest)
		case "USER":
			if _, err := fmt.Sscanf(rest, "%d", &c.user); err != nil {
				t.Fatal(err)
			}
		case "ENTRYPOINT":
			c.entrypoint = list(line)
		case "HEALTHCHECK":
			c.health = list(line)
		}
	}
	if c.user == 0 || len(c.env) == 0 || len(c.entrypoint) == 0 || len(c.health) == 0 {
		t.Fatalf("%+v", c)
	}
	return c
}

// TestUnitIsConfined asks systemd how much the unit may do; 0 is nothing, 100 everything.
func TestUnitIsConfined(t *testing.T) {
	analyze := need(t, "/usr/bin/systemd-analyze", "systemd")
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=yes", "--threshold=15", "../deploy/systemd/pushbridge.service").CombinedOutput()
	if level := regexp.MustCompile(`Overall exposure level.*`).Find(out); err != nil || level == nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", level)
	}
}
