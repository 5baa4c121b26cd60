package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	check := func(content string, mode os.FileMode) {
		t.Helper()
		b, err := os.ReadFile(file)
		if err != nil || string(b) != content {
			t.Errorf("got %q %v, want %q", b, err, content)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v %v, want %v", info.Mode(), err, mode)
		}
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if diff := cmp.Diff([]string{file}, names); diff != "" || err != nil {
			t.Errorf("left behind: %s %v", diff, err)
		}
	}
	if err := Write(file, text("one"), nil); err != nil {
		t.Fatal(err)
	}
	check("one", 0o600)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, text("two"), nil); err != nil {
		t.Fatal(err)
	}
	check("two", 0o644)

	broken := errors.New("broken")
	fail := func(io.Writer) error { return broken }
	if err := Write(file, fail, nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := Write(file, text("three"), func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	check("two", 0o644)
	if err := Write(filepath.Join(dir, "none", "file"), text("one"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
