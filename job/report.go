package job

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pushbridge/pushbridge/client"
)

// MetricsVariable names the file that a command may write metrics of its own to.
const MetricsVariable = "PUSHBRIDGE_METRICS"

// Reporter pushes what becomes of one run.
type Reporter struct {
	o Options

	enough  context.CancelFunc // ends what Begin does
	started chan struct{}      // it has ended
}

// Options are the settings of a Reporter.
type Options struct {
	Client   *client.Client
	Grouping []client.Label
	Spool    *client.Spool // nil: what cannot be sent is lost
	Timeout  time.Duration // for pushing, after the command has ended
	Say      func(format string, args ...any)
}

// NewReporter returns a reporter whose Begin and Ended are to be called once each.
func NewReporter(o Options) *Reporter { return &Reporter{o: o, started: make(chan struct{})} }

// Begin returns what to call when the run has begun. It sends what former runs could not,
// and then that a run goes on: in this order, since the newer must come last. What it
// cannot send Ended sends, or nobody misses it.
func (r *Reporter) Begin() func(time.Time) {
	ctx, enough := context.WithCancel(context.Background())
	r.enough = enough
	return func(at time.Time) {
		defer close(r.started)
		if r.sendSpool(ctx, r.o.Client.Finish) != nil {
			return
		}
		err := r.o.Client.Do(ctx, client.NewPush(http.MethodPost, r.o.Grouping, startText(at)))
		if _, ok := errors.AsType[*client.RefusedError](err); ok {
			r.o.Say("start of the run: %v", err)
		}
	}
}

// sendSpool sends what waits. An error says that nothing can be sent; where it is the spool
// that cannot be used, others can.
func (r *Reporter) sendSpool(ctx context.Context, send func(context.Context, client.Push) error) error {
	if r.o.Spool == nil {
		return nil
	}
	err := r.o.Spool.Send(ctx, send, func(name string, err error) { r.o.Say("%s of the spool: %v", name, err) })
	if _, ok := errors.AsType[*client.UnreachableError](err); err != nil && !ok {
		r.o.Say("spool: %v", err)
		return nil
	}
	return err
}

// Ended pushes how a run has ended, and the metrics in file. ctx cuts it short. It returns
// what could not be pushed; that is said, too, and in the spool if there is one.
func (r *Reporter) Ended(ctx context.Context, result Result, file string) error {
	ended := make(chan error)
	withRoom(func() { ended <- r.end(ctx, result, file) })
	return <-ended
}

func (r *Reporter) end(ctx context.Context, result Result, file string) error {
	r.enough()
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	var pushes []client.Push
	if metrics := r.readMetrics(file); len(metrics) > 0 {
		pushes = append(pushes, client.NewPush(http.MethodPost, r.o.Grouping, metrics))
	}
	pushes = append(pushes, client.NewPush(http.MethodPost, r.o.Grouping, endText(result)))
	r.waitStarted(ctx)
	err := r.sendSpool(ctx, r.o.Client.Do)
	errs := []error{}
	for _, p := range pushes {
		if err == nil {
			err = r.o.Client.Do(ctx, p)
		}
		if _, ok := errors.AsType[*client.RefusedError](err); ok {
			r.o.Say("%v", err)
			errs, err = append(errs, err), nil // the next one may be taken
		}
		if err != nil {
			r.keep(p, err)
		}
	}
	return errors.Join(append(errs, err)...)
}

func (r *Reporter) waitStarted(ctx context.Context) {
	select {
	case <-r.started:
	case <-ctx.Done():
	}
}

// keep spools p, which err has kept from being sent.
func (r *Reporter) keep(p client.Push, err error) {
	if r.o.Spool == nil {
		r.o.Say("%v: lost, as there is no --spool", err)
		return
	}
	dropped, spoolErr := r.o.Spool.Add(p)
	switch {
	case spoolErr != nil:
		r.o.Say("%v: lost, as it cannot be spooled: %v", err, spoolErr)
	case dropped > 0:
		r.o.Say("%v: spooled for the next run, in the place of the %d oldest", err, dropped)
	default:
		r.o.Say("%v: spooled for the next run", err)
	}
}

// readMetrics returns what the command wrote to file.
func (r *Reporter) readMetrics(file string) []byte {
	if file == "" {
		return nil
	}
	b, err := client.ReadFile(file)
	if err != nil {
		r.o.Say("metrics of the command: %v", err)
		return nil
	}
	return b
}
