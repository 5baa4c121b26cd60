// Package wholefile puts files in place as a whole: who reads one sees all of it, or
// what was there before, also after a crash.
package wholefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pushbridge/pushbridge/osfile"
)

// ErrNotRegular is what stands behind a name that is a directory, a device or a pipe: it
// can neither be read to its end nor be replaced.
var ErrNotRegular = errors.New("this is no regular file")

// Check returns ErrNotRegular for a name of such a thing. There need not be a file yet.
func Check(file string) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", file, ErrNotRegular)
	}
	return nil
}

// Write puts a file in place. One that is replaced passes its permissions on. ready, if not nil, is called when everything is on disk and
// only the name is missing.
func Write(file string, write func(io.Writer) error, ready func() error) (err error) {
	if err := Check(file); err != nil {
		return err
	}
	dir := filepath.Dir(file)
	temporary, err := os.CreateTemp(dir, filepath.Base(file)+unfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	if err := fillAndSync(temporary, file, write); err != nil {
		return err
	}
	if ready != nil {
		if err := ready(); err != nil {
			return err
		}
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return err
	}
	return osfile.SyncDir(dir)
}

// WriteBytes puts a file with content in place.
func WriteBytes(file string, content []byte) error {
	return Write(file, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}, nil)
}

// unfinished stands behind the name of a file, and before a number, while it is
// written.
const unfinished = ".in_progress."

// RemoveUnfinished removes what processes left behind that were killed in Write. None
// may be writing file at the same time.
func RemoveUnfinished(file string) error {
	if file == "" {
		return nil
	}
	base := filepath.Base(file)
	return RemoveAllUnfinished(filepath.Dir(file), func(name string) bool { return name == base })
}

// RemoveAllUnfinished does so for the files in dir whose names ours picks.
func RemoveAllUnfinished(dir string, ours func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		at := max(0, strings.LastIndex(e.Name(), unfinished))
		number, ok := strings.CutPrefix(e.Name()[at:], unfinished)
		if _, err := strconv.ParseUint(number, 10, 64); ok && err == nil && e.Type().IsRegular() && ours(e.Name()[:at]) {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// fillAndSync writes f, which is to replace a file, and closes it.
func fillAndSync(f *os.File, replaces string, write func(io.Writer) error) error {
	w := bufio.NewWriter(f)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if info, statErr := os.Stat(replaces); err == nil && statErr == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
