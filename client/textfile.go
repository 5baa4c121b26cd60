package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// TextfileSuffix is that of the files which node_exporter's textfile collector reads.
const TextfileSuffix = ".prom"

// maxFile is how many bytes a gateway takes by default.
const maxFile = 64 << 20

// Textfiles are the files of a directory, each a group of its own: its metrics replace
// those of the group, and the group ends when the file goes.
type Textfiles struct {
	Client   *Client
	Dir      string
	Grouping func(name string) []Label // of a file, by its name without the suffix
	Timeout  time.Duration             // for one push
	Say      func(format string, args ...any)

	pushed map[string]version // by name: what the gateway has seen
	unread map[string]error   // by name: why a file could not be read, which has been said

	read func(path string) ([]byte, error) // ReadFile but in tests
}

// version tells one content of a file from the next.
type version struct {
	modified time.Time
	size     int64
}

// Push pushes each file that is not what it was at the last call, and ends the groups of
// those that are gone since. What is refused is said, and not pushed again before it
// changes; what cannot be read, or does not reach the gateway, is for the next call. The
// error has all of them.
func (t *Textfiles) Push(ctx context.Context) error {
	now, err := t.list()
	if err != nil {
		return err
	}
	return t.push(ctx, now)
}

func (t *Textfiles) push(ctx context.Context, now []textfile) error {
	if t.pushed == nil {
		t.pushed, t.unread = map[string]version{}, map[string]error{}
	}
	if t.read == nil {
		t.read = ReadFile
	}
	var errs []error
	for _, f := range now {
		if t.pushed[f.name] == f.version {
			continue
		}
		if err := t.file(ctx, f); err != nil {
			errs = append(errs, err)
		}
	}
	for name := range t.pushed {
		if !slices.ContainsFunc(now, func(f textfile) bool { return f.name == name }) {
			errs = append(errs, t.ended(ctx, name))
		}
	}
	return errors.Join(errs...)
}

type textfile struct {
	name string
	version
}

func (t *Textfiles) path(name string) string { return filepath.Join(t.Dir, name+TextfileSuffix) }

// list returns the files, by name.
func (t *Textfiles) list() ([]textfile, error) {
	entries, err := os.ReadDir(t.Dir)
	if err != nil {
		return nil, err
	}
	var files []textfile
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), TextfileSuffix)
		if !ok || name == "" {
			continue
		}
		info, err := os.Stat(t.path(name)) // of what a link leads to
		if err == nil && info.Mode().IsRegular() {
			files = append(files, textfile{name, version{info.ModTime(), info.Size()}})
		}
	}
	return files, nil
}

// file pushes one file. Its version was looked at before its content is, so that a change
// in between is pushed by the next call.
func (t *Textfiles) file(ctx context.Context, f textfile) error {
	body, err := t.read(t.path(f.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return t.cannotRead(f.name, err)
	}
	delete(t.unread, f.name)
	if err == nil {
		err = t.content(ctx, f.name, body)
	}
	if _, unreachable := errors.AsType[*UnreachableError](err); !unreachable {
		t.pushed[f.name] = f.version
	}
	return t.said(f.name, err)
}

// cannotRead says why a file cannot be read, once: that may change without a new version.
func (t *Textfiles) cannotRead(name string, err error) error {
	before := t.unread[name]
	t.unread[name] = err
	if before != nil && before.Error() == err.Error() {
		return err
	}
	return t.said(name, err)
}

// content pushes a file, or one point after the other of a history. What the gateway has when
// it does not take one are the older ones.
func (t *Textfiles) content(ctx context.Context, name string, body []byte) error {
	texts := split(body)
	for i, text := range texts {
		err := t.do(ctx, NewPush(http.MethodPut, t.Grouping(name), text))
		if err != nil && len(texts) > 1 {
			err = fmt.Errorf("push %d of %d: %w", i+1, len(texts), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Textfiles) ended(ctx context.Context, name string) error {
	err := t.do(ctx, NewPush(http.MethodDelete, t.Grouping(name), nil))
	if _, unreachable := errors.AsType[*UnreachableError](err); !unreachable {
		delete(t.pushed, name)
	}
	return t.said(name, err)
}

func (t *Textfiles) do(ctx context.Context, p Push) error {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	return t.Client.Do(ctx, p)
}

func (t *Textfiles) said(name string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", t.path(name), err)
	t.Say("%v", err)
	return err
}

// ReadFile returns what a file with metrics has, within what a gateway takes by default. It opens
// no other kind than regular files: a pipe that nobody writes to would keep the caller waiting
// for ever.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	return b, err
}

var errNotRegular = errors.New("it is no regular file any more")

// Pauses of Watch.
const (
	watchCalm  = 50 * time.Millisecond // after a change, for those that come with it
	watchRetry = 5 * time.Second       // for a gateway that is away, and changes that nobody told of
)

// Watch pushes what changes until ctx ends.
func (t *Textfiles) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Add(t.Dir); err != nil { // before the first look: nothing is missed in between
		return err
	}
	for gone := false; ; {
		now, err := t.list()
		switch {
		case err == nil:
			_ = t.push(ctx, now) // said
		case !gone:
			t.Say("%v: nothing is pushed or deleted until it can be read again", err)
		}
		gone = err != nil
		if !t.changed(ctx, w) {
			return nil
		}
	}
}

// changed waits until something may have changed, and reports false when ctx has ended.
// Events say when to look, not what to see: some may be lost.
func (t *Textfiles) changed(ctx context.Context, w *fsnotify.Watcher) bool {
	timer := time.NewTimer(watchRetry)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case err := <-w.Errors:
			t.Say("%s: %v", t.Dir, err)
			timer.Reset(watchCalm)
		case <-w.Events:
			timer.Reset(watchCalm)
		}
	}
}
