package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

var durableCases = []testCase{
	{name: "1 what is done survives a proper stop", needs: survives, run: func(r *rig) {
		r.fill(30)
		r.restart()
		r.whole()
		r.replayed(0)
		r.replayed(17)
		r.fill(3)
		r.whole()
	}},
	{name: "1 what is done survives kill -9", needs: survives | kills, run: func(r *rig) {
		r.fill(30)
		r.push(record{body: "nobody was told of it"})
		r.after(r.place.Kill)
		r.whole()
		r.after(r.place.Kill)
		r.fill(3)
		r.whole()
	}},
	{name: "1 what is done survives a power loss", needs: survives | losesPower, run: func(r *rig) {
		r.fill(30)
		r.after(r.place.PowerLoss)
		r.whole()
		r.after(r.place.PowerLoss)
		r.fill(3)
		r.whole()
		r.replayed(0)
	}},
	{name: "1 totals and timestamps survive", needs: survives, run: func(r *rig) {
		r.fill(30)
		r.add(record{time: 777_000})
		for range 2 {
			total := uint64(0)
			for _, seq := range r.order {
				total += uint64(r.kept[seq].samples)
				if n, exact := r.log.TotalAt(seq); n != total || !exact {
					r.Errorf("%d samples up to %d, exact %t, want %d", n, seq, exact, total)
				}
			}
			if f := r.log.Floor(); f != 777_000 {
				r.Errorf("floor %d", f)
			}
			r.restart()
		}
	}},
}

var orderCases = []testCase{
	{name: "2 done is called in the order of sequences", run: func(r *rig) {
		for range 20 {
			for i := range 7 {
				r.push(record{samples: i})
			}
			r.steps.Commit()
		}
		for i, seq := range r.order {
			if seq != uint64(i+1) {
				r.Fatalf("sequences %v", r.order)
			}
		}
		if head := r.log.Head(); head != 140 {
			r.Errorf("head %d", head)
		}
	}},
	{name: "2 done comes before readers", log: queue.Options{RingBytes: 1 << 20}, run: doneBeforeReaders},
	{name: "2 done comes before readers of the store", needs: survives, run: doneBeforeReaders},
	{name: "2 nobody reads what is being reported", log: queue.Options{RingBytes: 1 << 20}, run: unreadInDone},
	{name: "2 nobody reads in the store what is being reported", needs: survives, run: unreadInDone},
	{name: "2 sequences go on after a restart", needs: survives, run: func(r *rig) {
		r.fill(3)
		r.restart()
		r.restart()
		r.fill(3)
		if !slices.Equal(r.order, []uint64{1, 2, 3, 4, 5, 6}) {
			r.Errorf("sequences %v", r.order)
		}
	}},
	{name: "2 ephemeral records stand in their place", log: queue.Options{RingBytes: 1 << 20}, run: func(r *rig) {
		reader := r.log.NewReader(0)
		r.push(record{samples: 1})
		r.log.Emit(record{samples: 5}, 0)
		r.push(record{samples: 2})
		r.log.Emit(record{samples: 6}, 0)
		r.steps.Commit()
		var got []string
		for range 4 {
			it, ok, err := reader.TryNext()
			if !ok || err != nil {
				r.Fatal(ok, err)
			}
			got = append(got, fmt.Sprint(it.Seq, it.Ephemeral, it.Record.samples))
		}
		if want := []string{"1 false 1", "1 true 5", "2 false 2", "2 true 6"}; !slices.Equal(got, want) {
			r.Errorf("got %q, want %q", got, want)
		}
		if n := r.log.Samples(); n != 3 {
			r.Errorf("%d samples are stored", n)
		}
	}},
}

// unreadInDone reads from within done, where there must be nothing new yet.
func unreadInDone(r *rig) {
	reader := r.log.NewReader(0)
	for range 5 {
		tail := r.store.Tail(queue.Place{Exact: true})
		seen := 0
		for range 3 {
			err := r.log.Append(record{samples: 1}, 0, func(seq uint64, _ error) {
				if it, ok, err := reader.TryNext(); ok || err != nil {
					r.Errorf("while record %d is reported, record %d is read, %v", seq, it.Seq, err)
				}
				for tail.Next(func(e queue.Entry, _ []byte) error { seen = int(e.Seq); return nil }) == nil {
					if e := uint64(seen); e >= seq {
						r.Errorf("while record %d is reported, the store shows %d", seq, e)
					}
				}
			})
			r.must(err)
		}
		r.steps.Commit()
		for range 3 {
			if _, ok, err := reader.TryNext(); !ok || err != nil {
				r.Fatal(ok, err)
			}
		}
		r.must(tail.Close())
	}
	r.must(reader.Close())
}

// doneBeforeReaders runs a log with pushers and readers at the same time.
func doneBeforeReaders(r *rig) {
	const pushers, each = 4, 50
	l := r.log
	stop := r.run()
	defer stop()
	var mu sync.Mutex
	done := uint64(0)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			reader := l.NewReader(0)
			for want := uint64(1); want <= pushers*each; want++ {
				it, err := reader.Next(r.Context())
				mu.Lock()
				if err != nil || it.Seq != want || it.Seq > done {
					r.Errorf("read %d, %v, want %d, of which %d are done", it.Seq, err, want, done)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
			if err := reader.Close(); err != nil {
				r.Error(err)
			}
		})
	}
	for range pushers {
		all.Go(func() {
			for range each {
				answer := make(chan error, 1)
				err := l.Append(record{samples: 1}, l.Generation(), func(seq uint64, err error) {
					mu.Lock()
					if seq != done+1 {
						r.Errorf("record %d is done after %d", seq, done)
					}
					done = seq
					mu.Unlock()
					answer <- err
				})
				if err == nil {
					err = <-answer
				}
				if err != nil {
					r.Error(err)
				}
			}
		})
	}
	all.Wait()
}

var readCases = []testCase{
	{name: "3 readers get each record once, from the ring and from the store", needs: survives, log: queue.Options{RingBytes: 1000}, run: func(r *rig) {
		slow, quick := r.log.NewReader(0), r.log.NewReader(0)
		var bySlow, byQuick got
		for i := range 20 {
			r.fill(7)
			byQuick.seqs = append(byQuick.seqs, r.drain(quick).seqs...)
			if i%6 == 5 {
				bySlow.seqs = append(bySlow.seqs, r.drain(slow).seqs...)
			}
		}
		bySlow.seqs = append(bySlow.seqs, r.drain(slow).seqs...)
		if !slices.Equal(byQuick.seqs, r.order) || !slices.Equal(bySlow.seqs, r.order) {
			r.Errorf("read %v and %v, want %v", byQuick.seqs, bySlow.seqs, r.order)
		}
		r.must(slow.Close(), quick.Close())
	}},
	{name: "3 readers begin anywhere", needs: survives, run: func(r *rig) {
		r.fill(25)
		for after := range uint64(26) {
			reader := r.log.NewReader(after)
			if g := r.drain(reader); len(g.gaps) > 0 || len(g.seqs) != 25-int(after) {
				r.Errorf("behind %d: %+v", after, g)
			}
			if total, known := reader.Total(); after < 25 && (!known || total != r.sum) {
				r.Errorf("behind %d: %d samples, known %t", after, total, known)
			}
			r.must(reader.Close())
		}
	}},
	{name: "3 what is removed is a gap, with what it held", needs: survives, run: func(r *rig) {
		r.fill(30)
		reader := r.log.NewReader(0)
		oldest, ok := r.store.Oldest()
		if !ok || oldest.First != 1 || oldest.Last >= 30 || oldest.Before != 0 || oldest.Bytes <= 0 {
			r.Fatalf("the oldest part is %+v, %t", oldest, ok)
		}
		r.must(r.store.Trim(oldest.Last))
		total, _ := r.log.TotalAt(oldest.Last)
		for range 2 {
			g := r.drain(reader)
			if len(g.gaps) != 1 || g.gaps[0].From != 1 || g.gaps[0].To != oldest.Last || g.missing != oldest.Total ||
				total != oldest.Total || g.missing+g.samples != r.sum {
				r.Errorf("part %+v, read %+v of %d samples", oldest, g, r.sum)
			}
			r.must(reader.Close())
			r.restart()
			reader = r.log.NewReader(0)
		}
		if again, _ := r.store.Oldest(); again.First != oldest.Last+1 {
			r.Errorf("the oldest part is %+v, behind %+v", again, oldest)
		}
	}},
	{name: "3 a reader that stands in what is removed goes on behind it", needs: survives, run: func(r *rig) {
		r.fill(30)
		reader := r.log.NewReader(0)
		it, ok, err := reader.TryNext()
		if !ok || err != nil {
			r.Fatal(ok, err)
		}
		oldest, _ := r.store.Oldest()
		r.must(r.store.Trim(oldest.Last))
		g := r.drain(reader)
		if uint64(it.Record.samples)+g.samples+g.missing != r.sum || g.seqs[len(g.seqs)-1] != 30 {
			r.Errorf("read %+v and %+v, of %d samples", it, g, r.sum)
		}
		r.must(reader.Close())
	}},
	{name: "3 a volatile log names what fell out of the ring", log: queue.Options{RingBytes: 1000}, run: func(r *rig) {
		reader := r.log.NewReader(0)
		r.fill(50)
		if g := r.drain(reader); g.samples+g.missing != r.sum || g.seqs[len(g.seqs)-1] != 50 {
			r.Errorf("read %+v, of %d samples", g, r.sum)
		}
	}},
	{name: "3 readers wait", run: func(r *rig) {
		reader := r.log.NewReader(0)
		read := make(chan error, 1)
		go func() {
			it, err := reader.Next(r.Context())
			if err == nil && it.Seq != 1 {
				err = fmt.Errorf("read %d", it.Seq)
			}
			read <- err
		}()
		r.fill(1)
		select {
		case err := <-read:
			r.must(err)
		case <-time.After(10 * time.Second):
			r.Fatal("nothing came")
		}
	}},
}

var damageCases = []testCase{
	{name: "4 damage costs what it touches, and is named", needs: survives | damages, run: func(r *rig) {
		r.fill(30)
		r.close()
		r.place.Damage(7)
		r.place.Damage(19)
		for range 2 {
			r.open()
			g := r.drain(r.log.NewReader(0))
			if len(g.gaps) != 2 || g.gaps[0].Reason != queue.GapDamaged || g.samples+g.missing != r.sum ||
				slices.Contains(g.seqs, 7) || slices.Contains(g.seqs, 19) || len(g.seqs) != 28 {
				r.Errorf("read %+v, of %d samples", g, r.sum)
			}
			if n := len(r.log.Damage()); n != 2 {
				r.Errorf("%d ranges are damaged: %v", n, r.log.Damage())
			}
			r.close()
		}
		r.open()
		r.fill(2)
	}},
	{name: "4 bytes that are no record are damage", needs: survives, run: func(r *rig) {
		r.fill(2)
		r.add(record{samples: 9, body: "undecodable"})
		r.add(record{samples: 4})
		delete(r.kept, 3)
		r.restart()
		g := r.drain(r.log.NewReader(0))
		if len(g.gaps) != 1 || g.missing != 9 || !slices.Equal(g.seqs, []uint64{1, 2, 4}) {
			r.Errorf("read %+v", g)
		}
		if bad := r.log.Damage(); len(bad) != 1 || !errors.Is(bad[0], errDecode) {
			r.Errorf("damage %v", bad)
		}
	}},
	{name: "4 what a newer version wrote is no damage, and stops the reading", needs: survives, run: func(r *rig) {
		r.fill(2)
		r.add(record{samples: 9, body: "newer"})
		r.restart()
		reader := r.log.NewReader(2)
		for range 2 {
			if _, err := reader.Next(r.Context()); !errors.Is(err, queue.ErrNewer) {
				r.Errorf("read %v", err)
			}
		}
		if err := r.log.Replay(0, func(record, uint64) error { return nil }); !errors.Is(err, queue.ErrNewer) {
			r.Errorf("replayed %v", err)
		}
		if bad := r.log.Damage(); len(bad) != 0 {
			r.Errorf("damage %v", bad)
		}
	}},
	{name: "4 the state goes on without what is damaged", needs: survives | damages, run: func(r *rig) {
		r.fill(10)
		r.close()
		r.place.Damage(4)
		r.open()
		n := 0
		err := r.log.Replay(0, func(record, uint64) error { n++; return nil })
		if err != nil || n != 9 {
			r.Errorf("replayed %d, %v", n, err)
		}
	}},
}
