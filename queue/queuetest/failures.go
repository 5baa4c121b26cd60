package queuetest

import (
	"errors"
	"slices"

	"github.com/pushbridge/pushbridge/queue"
)

var errBroken = errors.New("broken on purpose")

var failureCases = []testCase{
	{name: "5 what waits fails together, and the log goes on", needs: breaks, run: func(r *rig) {
		r.fill(5)
		r.place.Break(errBroken)
		var answers []error
		for range 3 {
			err := r.log.Append(record{samples: 1}, 0, func(seq uint64, err error) {
				if seq != 0 {
					r.Errorf("a record that has failed has the sequence %d", seq)
				}
				answers = append(answers, err)
			})
			r.must(err)
		}
		r.steps.Commit()
		if len(answers) != 3 {
			r.Fatalf("answers %v", answers)
		}
		for _, err := range append(answers, r.log.Err()) {
			if !errors.Is(err, queue.ErrUnavailable) || !errors.Is(err, errBroken) {
				r.Errorf("got %v", err)
			}
		}
		r.place.Break(nil)
		r.steps.Ready()
		if err := r.log.Err(); err != nil {
			r.Errorf("Err is %v when the place is well again", err)
		}
		r.fill(5)
		r.whole()
		if g := r.log.Generation(); g != 1 {
			r.Errorf("generation %d after one failure", g)
		}
	}},
	{name: "5 what was built on a failure is refused", needs: breaks, run: func(r *rig) {
		r.place.Break(errBroken)
		r.push(record{})
		r.steps.Commit()
		r.place.Break(nil)
		r.steps.Ready()
		if err := r.tryPush(record{body: "built before"}, 0); !errors.Is(err, queue.ErrAborted) {
			r.Errorf("append with the generation that has failed: %v", err)
		}
		r.log.Emit(record{body: "built before"}, 0)
		r.must(r.tryPush(record{body: "built after"}, 1))
		r.steps.Commit()
		r.whole()
	}},
	{name: "5 sequences of what has failed are not used again, and no gap", needs: breaks, run: func(r *rig) {
		for range 4 {
			r.fill(3)
			r.place.Break(errBroken)
			for range 3 {
				r.push(record{samples: 100, body: "fails"})
				r.steps.Commit()
			}
			r.place.Break(nil)
			r.steps.Ready()
		}
		r.fill(1)
		r.whole()
		if !slices.IsSorted(r.order) {
			r.Errorf("sequences %v", r.order)
		}
	}},
	{name: "5 what has failed does not come back", needs: breaks | survives, run: func(r *rig) {
		for range 3 {
			r.fill(3)
			r.place.Break(errBroken)
			r.push(record{samples: 100, body: "fails"})
			r.steps.Commit()
			r.place.Break(nil)
			r.steps.Ready()
			r.fill(2)
			r.restart()
			r.whole()
			r.replayed(0)
		}
	}},
	{name: "5 a failure at the end of the process", needs: breaks | survives | kills, run: func(r *rig) {
		r.fill(3)
		r.place.Break(errBroken)
		r.push(record{samples: 100, body: "fails"})
		r.steps.Commit()
		r.after(func() { r.place.Kill(); r.place.Break(nil) })
		if n := len(r.log.Damage()); n > 0 {
			for _, bad := range r.log.Damage() {
				r.Logf("found: %v", bad)
			}
		}
		reader := r.log.NewReader(0)
		if g := r.drain(reader); len(g.gaps) > 0 || len(g.seqs) < 3 {
			r.Errorf("read %+v", g)
		}
		r.must(reader.Close())
		r.fill(2)
	}},
	{name: "5 nothing is taken when the log is closed", run: func(r *rig) {
		r.fill(2)
		l := r.log
		r.close()
		called := false
		err := l.Append(record{}, l.Generation(), func(uint64, error) { called = true })
		if !errors.Is(err, queue.ErrClosed) || !errors.Is(l.Err(), queue.ErrClosed) || called {
			r.Errorf("append: %v, Err: %v, done was called: %t", err, l.Err(), called)
		}
	}},
}
