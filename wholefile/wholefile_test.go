package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// What is no file is not replaced: a process of root would put one in the place of a
// device.
func TestWriteInThePlaceOfOthers(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{dir, link} {
		if err := WriteBytes(file, []byte("x")); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: got %v", file, err)
		}
	}
	if to, err := os.Readlink(link); to != os.DevNull {
		t.Errorf("the link is %q %v", to, err)
	}
}

// Only what Write may have left of the very file is removed.
func TestRemoveUnfinished(t *testing.T) {
	dir := t.TempDir()
	others := []string{"file", "file.bad", "file.in_progress.", "file.in_progress.mine", "file.in_progress.1.gz", "other.in_progress.12"}
	for _, name := range append([]string{"file.in_progress.12", "file.in_progress.3405691582"}, others...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(RemoveUnfinished(filepath.Join(dir, "file")), RemoveUnfinished("")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	slices.Sort(others)
	if diff := cmp.Diff(others, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if err := RemoveUnfinished(filepath.Join(dir, "none", "file")); err != nil {
		t.Errorf("without the directory: %v", err)
	}
	if err := RemoveAllUnfinished(dir, func(name string) bool { return name == "other" }); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "other*")); len(names) > 0 || err != nil {
		t.Errorf("left %v %v", names, err)
	}
}
