package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/osfile"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func newSpool(t *testing.T, maxBytes int64) *Spool {
	t.Helper()
	s, err := OpenSpool(filepath.Join(t.TempDir(), "spool"), maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, s *Spool, bodies ...string) []Push {
	t.Helper()
	var pushes []Push
	for _, body := range bodies {
		p := NewPush(http.MethodPost, []Label{{"job", "a"}, {"x", "/"}}, []byte(body))
		if _, err := s.Add(p); err != nil {
			t.Fatal(err)
		}
		pushes = append(pushes, p)
	}
	return pushes
}

// sent sends all that waits with errors by body, and returns what was tried.
func sent(t *testing.T, s *Spool, answers map[string]error) (tried []Push, refused []string, err error) {
	t.Helper()
	err = s.Send(t.Context(), func(_ context.Context, p Push) error {
		tried = append(tried, p)
		return answers[string(p.Body)]
	}, func(name string, err error) { refused = append(refused, name+": "+err.Error()) })
	return tried, refused, err
}

func TestSpool(t *testing.T) {
	s := newSpool(t, 1<<20)
	want := add(t, s, "1\n", "2\n\n", "")
	got, refused, err := sent(t, s, nil)
	want[2].Body = []byte{}
	if diff := cmp.Diff(want, got); diff != "" || refused != nil || err != nil {
		t.Errorf("(-want +got)\n%s %v %v", diff, refused, err)
	}
	if got, _, err := sent(t, s, nil); len(got) > 0 || err != nil {
		t.Errorf("sent again: %v %v", got, err)
	}
}

// TestSpoolKeepsTheOrder holds back what is behind a push that was not answered, whose id
// stays the same.
func TestSpoolKeepsTheOrder(t *testing.T) {
	s := newSpool(t, 1<<20)
	want := add(t, s, "1", "2", "3")
	unreachable := &UnreachableError{errors.New("away")}
	if got, _, err := sent(t, s, map[string]error{"2": unreachable}); len(got) != 2 || !errors.Is(err, unreachable) {
		t.Errorf("got %v %v", got, err)
	}
	want = append(want[1:], add(t, s, "4")...)
	got, _, err := sent(t, s, nil)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got)\n%s %v", diff, err)
	}
}

func TestSpoolRefused(t *testing.T) {
	s := newSpool(t, 1<<20)
	add(t, s, "1", "2")
	got, refused, err := sent(t, s, map[string]error{"1": &RefusedError{400, "no"}})
	want := []string{"00000000000000000001.push: refused with 400: no"}
	if diff := cmp.Diff(want, refused); diff != "" || err != nil || len(got) != 2 {
		t.Errorf("(-want +got)\n%s %v %v", diff, err, got)
	}
}

func TestSpoolBound(t *testing.T) {
	size := int64(0)
	{
		s := newSpool(t, 1<<20)
		add(t, s, "1")
		files, err := s.list()
		if err != nil {
			t.Fatal(err)
		}
		size = files[0].size
	}
	s := newSpool(t, 3*size+30)
	add(t, s, "1", "2", "3")
	dropped, err := s.Add(NewPush(http.MethodPost, []Label{{"job", "a"}, {"x", "/"}}, []byte("4")))
	if dropped != 1 || err != nil {
		t.Errorf("dropped %d %v", dropped, err)
	}
	if got, _, _ := sent(t, s, nil); len(got) != 3 || string(got[0].Body) != "2" {
		t.Errorf("got %v", got)
	}
	if _, err := s.Add(NewPush(http.MethodPost, nil, make([]byte, 4*size))); err == nil {
		t.Error("took more than it may hold")
	}
}

// TestSpoolDamage puts aside what cannot be read, and sends the rest.
func TestSpoolDamage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(b []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"cut in the header", func(b []byte) []byte { return b[:10] }},
		{"cut in the body", func(b []byte) []byte { return b[:len(b)-1] }},
		{"flipped bit", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSpool(t, 1<<20)
			add(t, s, "11", "22")
			name := filepath.Join(s.dir, "00000000000000000001.push")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, tt.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			got, refused, err := sent(t, s, nil)
			if len(got) != 1 || string(got[0].Body) != "22" || len(refused) != 1 || !contains(refused[0], "damaged") || err != nil {
				t.Errorf("got %v %v %v", got, refused, err)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "00000000000000000001.bad")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSpoolUnfinished removes what a process left that was killed while it wrote.
func TestSpoolUnfinished(t *testing.T) {
	s := newSpool(t, 1<<20)
	left := filepath.Join(s.dir, "00000000000000000007.push.in_progress.123")
	if err := os.WriteFile(left, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	add(t, s, "1")
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if got, refused, err := sent(t, s, nil); len(got) != 1 || refused != nil || err != nil {
		t.Errorf("got %v %v %v", got, refused, err)
	}
}

// TestSpoolOneSender lets only one process send, and waits for it at most as long as ctx says.
func TestSpoolOneSender(t *testing.T) {
	s := newSpool(t, 1<<20)
	add(t, s, "1")
	f, err := os.Create(filepath.Join(s.dir, sending))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := osfile.TryLock(f); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = s.Send(ctx, func(context.Context, Push) error { return fmt.Errorf("was called") }, nil)
	if _, ok := errors.AsType[*UnreachableError](err); !ok {
		t.Errorf("got %v", err)
	}
	add(t, s, "2") // the sender does not keep others from adding
}
