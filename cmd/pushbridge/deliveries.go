package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/remotewrite"
	"github.com/pushbridge/pushbridge/web"
)

// deliveries says what became of pushes at the destinations, and lets clients wait for
// it. It remembers nothing: an id names a record of the log, and destinations know how
// far they are and what became of the newest ones.
type deliveries struct {
	d       *destinations
	gateway *gateway.Gateway
	waiting atomic.Int64
	stop    context.Context //nolint:containedctx // ends when the web stage stops: requests that wait then must not hold it up
	end     context.CancelFunc
}

// maxWaiting bounds the pushes that wait for their delivery: each is a connection. One
// more hears at once how it stands.
const maxWaiting = 10000

func newDeliveries(d *destinations, g *gateway.Gateway, reg prometheus.Registerer) *deliveries {
	w := &deliveries{d: d, gateway: g}
	w.stop, w.end = context.WithCancel(context.Background())
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pushbridge_ingest_waiting_pushes",
		Help: "Pushes that are kept, and whose clients wait for their delivery.",
	}, func() float64 { return float64(w.waiting.Load()) }))
	return w
}

// Check returns why nobody can wait for a destination.
func (w *deliveries) Check(name string) error {
	list := w.d.list()
	if len(list) == 0 {
		return errors.New("no destination is configured, so there is nothing to wait for")
	}
	if name == "" || slices.ContainsFunc(list, func(one *destination) bool { return one.section.ID() == name }) {
		return nil
	}
	var names []string
	for _, one := range list {
		names = append(names, one.section.ID())
	}
	return fmt.Errorf("there is no destination %q, only: %s", group.Brief(name), strings.Join(names, ", "))
}

// Wait returns when the record is settled where it is waited for, or ctx ends.
func (w *deliveries) Wait(ctx context.Context, id gateway.PushID, name string) (any, bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.stop, cancel)()
	if w.waiting.Add(1) <= maxWaiting {
		w.await(ctx, id, name)
	}
	w.waiting.Add(-1)
	p := w.push(id)
	found, delivered := false, true
	for _, x := range p.Destinations {
		if name == "" || x.Destination == name {
			here := x.State == string(remotewrite.FateDelivered) || x.State == string(remotewrite.FateBefore)
			found, delivered = true, delivered && here
		}
	}
	return p, found && delivered
}

// await waits for one destination after the other. One that ends meanwhile, since a reload
// changes it, is looked for anew when that is done.
func (w *deliveries) await(ctx context.Context, id gateway.PushID, name string) {
	for ctx.Err() == nil {
		list, changed := w.d.listAndChange()
		ended := false
		for _, one := range list {
			if name == "" || one.section.ID() == name {
				ended = errors.Is(one.sender.Await(ctx, id.Seq, id.Job), remotewrite.ErrEnded) || ended
			}
		}
		if !ended {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// Push returns what became of the push that the text of an id names.
func (w *deliveries) Push(text string) (web.Push, error) {
	id, err := w.gateway.Find(text)
	if errors.Is(err, gateway.ErrOtherStore) || errors.Is(err, gateway.ErrNoRecord) {
		err = fmt.Errorf("%w: %w", web.ErrNoPush, err)
	}
	if err != nil {
		return web.Push{}, err
	}
	return w.push(id), nil
}

func (w *deliveries) push(id gateway.PushID) web.Push {
	return web.Push{ID: id.String(), Destinations: w.at(id.Seq, id.Job)}
}

// OfGroup returns what became of the latest record of g.
func (w *deliveries) OfGroup(g *group.Group) []web.Delivery {
	return w.at(g.Seq, group.HashJob(g.Labels.Job()))
}

// at returns what became of a record everywhere.
func (w *deliveries) at(seq uint64, job uint32) []web.Delivery {
	out := []web.Delivery{}
	for _, one := range w.d.list() {
		f := one.sender.Fate(seq, job)
		out = append(out, web.Delivery{
			Destination: one.section.ID(), State: string(f.State), Time: f.Time,
			Dropped: f.Dropped, InDoubt: f.InDoubt, Suspect: f.Suspect, Error: f.Text,
		})
	}
	return out
}
