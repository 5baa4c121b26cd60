package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ErrNotForgotten is what Forget returns when the process that has the directory
// open has not done what it was asked for.
var ErrNotForgotten = errors.New("the running process has not forgotten it")

// Forget removes the cursor c from a directory, and what only its destination needs
// goes with it. Where a process has the directory open, that one is asked to do it,
// which it does for a destination that is not configured, and waited for while ctx
// lasts.
func Forget(ctx context.Context, dir string, c *CursorReport) error {
	d := &directory{fs: osFS{}, dir: filepath.Clean(dir)}
	lock, err := d.fs.Lock(d.dir)
	switch {
	case errors.Is(err, ErrLocked) && c.Orphaned.IsZero():
		return fmt.Errorf("it is configured: remove its section and reload before (%w)", err)
	case errors.Is(err, ErrLocked):
		return d.askToForget(ctx, c)
	case err != nil:
		return err
	}
	err = d.fs.Remove(d.path(c.File))
	if err == nil {
		err = d.fs.SyncDir(d.dir)
	}
	return errors.Join(err, lock.Close())
}

// askToForget puts the file that asks for it beside the cursor, and waits until the
// process has removed both.
func (d *directory) askToForget(ctx context.Context, c *CursorReport) error {
	name := d.path(c.File + forgetSuffix)
	f, err := d.fs.Create(name)
	if errors.Is(err, os.ErrExist) {
		err = nil // somebody else asks, too
	} else if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d.exists(name) && d.exists(d.path(c.File)) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ErrNotForgotten, d.fs.Remove(name))
		}
	}
	if d.exists(d.path(c.File)) {
		return ErrNotForgotten
	}
	return nil
}

func (d *directory) exists(path string) bool {
	f, err := d.fs.Open(path)
	if err == nil {
		_ = f.Close() // was only looked at
	}
	return !errors.Is(err, os.ErrNotExist)
}
