package ingest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
)

// Options are the settings of a Handler. The zero value works.
type Options struct {
	Prefix    string // route prefix: "" or "/some/path", no slash at the end
	Unchecked bool   // --push.disable-consistency-check: answer 202, refuse nothing that parses
	UTF8Names bool   // --push.enable-utf8-names
	AdminAPI  bool   // --web.enable-admin-api: the wipe exists
	Limits    Limits

	AcceptTimestamps bool          // --push.accept-timestamps: samples may have times of their own
	MaxAge           time.Duration // --push.max-age: how old those may be; 0: any

	RefusedBytes    int64 // --push.refused-memory: memory for refused requests; 0: none
	ShapeCacheBytes int64 // --push.shape-cache-bytes: memory for bodies that were parsed before; 0: none

	Deliveries Deliveries // nil: nobody can wait for any

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // default time.Now
}

// Handler answers the write side of the Pushgateway API.
type Handler struct {
	gateway    *gateway.Gateway
	deliveries Deliveries
	prefix     string
	unchecked  bool
	utf8Names  bool
	adminAPI   bool
	limits     Limits
	bodies     *bodyParser
	logger     *slog.Logger
	refusals   *refusals
	quiet      *quietLog // for lines that clients can cause
	now        func() time.Time
	metrics    *metrics

	steps
}

// steps are what a request goes on to. All but one are instrumented, and so for
// requests only that match an API.
type steps struct {
	pushes  http.Handler
	deletes http.Handler
	wipes   http.Handler
	matched http.Handler // deletions by matchers
	decoded http.Handler // what ServeHTTP does once the body is decoded
}

// NewHandler returns a Handler that changes the state through g.
func NewHandler(g *gateway.Gateway, o Options) *Handler {
	h := &Handler{
		gateway: g, prefix: o.Prefix, unchecked: o.Unchecked, utf8Names: o.UTF8Names, adminAPI: o.AdminAPI,
		limits: o.Limits.withDefaults(), deliveries: o.Deliveries, logger: o.Logger, now: o.Now,
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	h.quiet = newQuietLog(h.logger)
	h.refusals = newRefusals(o.RefusedBytes, o.Registerer)
	h.bodies = newBodyParser(g.State().Share, o, h.limits, h.now)
	h.metrics = newMetrics(o.Registerer, h.bodies)
	h.pushes = h.metrics.push(h.push)
	h.deletes = h.metrics.counted("delete", h.delete)
	h.wipes = h.metrics.counted("wipe", h.wipe)
	h.matched = h.metrics.counted("groups", h.deleteMatched)
	h.decoded = h.DecodeBody(http.HandlerFunc(h.route))
	return h
}

// push is one PUT or POST, step by step.
func (h *Handler) push(w http.ResponseWriter, r *http.Request) {
	c, err := h.change(r)
	waiting, werr := h.waitOf(r)
	if err = cmp.Or(err, werr); err == nil {
		err = h.gateway.Ready() // before the body is read: that would be for nothing
	}
	if err != nil {
		h.refuse(w, r, c.Labels, err)
		return
	}
	id, before := h.answeredBefore(r, c)
	if !before {
		id, err = h.carryOut(r, c)
	}
	if err != nil {
		h.refuse(w, r, c.Labels, err)
		return
	}
	status := http.StatusOK
	if h.unchecked {
		status = http.StatusAccepted
	}
	h.accepted(w, r, id, status, waiting)
}

// carryOut reads the body of a push and carries it out. Its memory is charged for until
// it is kept.
func (h *Handler) carryOut(r *http.Request, c group.Change) (gateway.PushID, error) {
	l := &lease{b: h.bodies.budget}
	defer l.close()
	var err error
	c.Part, err = h.bodies.part(r, l)
	now, ctx := h.now(), carriedOut(r)
	var id gateway.PushID
	if err == nil {
		id, err = h.gateway.Do(ctx, c, now)
	}
	if setsFailureTime(err) {
		return h.fail(ctx, c.Labels, now, err)
	}
	return id, err
}

// carriedOut is the context of what r asks for once it was read: from then on it
// is done and waited for whether or not somebody listens. A client that has ended
// its half of the connection looks like one that has gone, and hears the answer.
func carriedOut(r *http.Request) context.Context {
	if r.Context().Done() == nil {
		return r.Context()
	}
	return context.WithoutCancel(r.Context())
}

// change is what r asks for, but for its body.
func (h *Handler) change(r *http.Request) (group.Change, error) {
	key, err := h.groupingKey(r)
	if err != nil {
		return group.Change{}, err
	}
	kind := group.KindPost
	if r.Method == http.MethodPut {
		kind = group.KindPut
	}
	ttl, err := h.ttlOf(r, key)
	return h.aggregate(r, group.Change{Kind: kind, Labels: key, TTL: ttl}), err
}

func (h *Handler) groupingKey(r *http.Request) (group.Labels, error) {
	t, _ := match(h.prefix, r.URL.Path)
	key, err := t.groupingKey(h.utf8Names)
	if err != nil {
		return nil, err
	}
	return key, h.limits.checkKey(key)
}

// ttlOf is how long the group lives after this push: ?ttl=26h, or what the rules
// say.
func (h *Handler) ttlOf(r *http.Request, key group.Labels) (time.Duration, error) {
	q, err := queryOf(r)
	if err != nil {
		return 0, err
	}
	if !q.Has("ttl") {
		return h.gateway.State().Rules().Of(key).TTL, nil
	}
	ttl, err := model.ParseDuration(group.Brief(q.Get("ttl")))
	if err != nil {
		return 0, queryErrorf("ttl in the query: %w", err)
	}
	return time.Duration(ttl), nil
}

// queryOf returns what the query of a push says. One that cannot be read as a whole is only
// refused where it may be about the push: a Pushgateway looks at none.
func queryOf(r *http.Request) (url.Values, error) {
	raw := r.URL.RawQuery
	if raw == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(raw)
	if err != nil && (strings.Contains(raw, "ttl=") || strings.Contains(raw, "wait=")) {
		return nil, queryErrorf("the query cannot be read: %w", err)
	}
	return q, nil
}

// fail sets the failure time of a group whose push was refused with why, and
// returns what to answer. Like every answer it comes when the change is visible, so
// a client that reads after its 400 finds the failure time; but a 400 does not
// promise that it is kept. Without checks the answer is that of a success, and a
// promise, except at a limit.
func (h *Handler) fail(ctx context.Context, key group.Labels, now time.Time, why error) (gateway.PushID, error) {
	c := group.Change{Kind: group.KindFail, Labels: key}
	id, err := h.gateway.Do(ctx, c, now)
	if h.unchecked && !errors.Is(why, group.ErrLimit) {
		return id, err
	}
	if err != nil && !errors.Is(err, group.ErrLimit) {
		h.quiet.Log(ctx, slog.LevelWarn, "failure time not kept", "failure_time", "group", key.Brief(), "err", told(err))
	}
	return id, why
}

// setsFailureTime reports whether err refuses what was pushed, as opposed to
// how it was pushed or when.
func setsFailureTime(err error) bool {
	if _, ok := errors.AsType[*group.InvalidError](err); ok {
		return true
	}
	_, ok := errors.AsType[*group.ConflictError](err)
	return ok || errors.Is(err, group.ErrLimit)
}

// delete ends a group. One that is not there has ended already, and has no id.
func (h *Handler) delete(w http.ResponseWriter, r *http.Request) {
	key, err := h.groupingKey(r)
	waiting, werr := h.waitOf(r)
	var id gateway.PushID
	if err = cmp.Or(err, werr); err == nil {
		c := h.aggregate(r, group.Change{Kind: group.KindDelete, Labels: key})
		id, err = h.gateway.Do(carriedOut(r), c, h.now())
	}
	if err != nil && !errors.Is(err, group.ErrAbsent) {
		h.refuse(w, r, key, err)
		return
	}
	h.accepted(w, r, id, http.StatusAccepted, waiting)
}

// reason is why a request was refused, as the metric has it.
type reason string

const (
	reasonPath        reason = "path"
	reasonQuery       reason = "query"
	reasonBody        reason = "body"
	reasonTooLarge    reason = "too_large"
	reasonSlow        reason = "slow"
	reasonInvalid     reason = "invalid"
	reasonConflict    reason = "conflict"
	reasonLimit       reason = "limit"
	reasonBusy        reason = "busy"
	reasonUnavailable reason = "unavailable"
	reasonGone        reason = "client_gone"
	reasonInternal    reason = "internal"
)

var reasons = []reason{
	reasonPath, reasonQuery, reasonBody, reasonTooLarge, reasonSlow, reasonInvalid, reasonConflict, reasonLimit,
	reasonBusy, reasonUnavailable, reasonGone, reasonInternal,
}

// classify is the one place that maps errors to statuses. retryAfter is the
// value of the header of that name, in seconds; empty for no header.
func classify(err error) (status int, why reason, retryAfter string) {
	if e, ok := errors.AsType[*MalformedError](err); ok {
		return http.StatusBadRequest, reason(e.Part), ""
	}
	if _, ok := errors.AsType[*TooLargeError](err); ok {
		return http.StatusRequestEntityTooLarge, reasonTooLarge, ""
	}
	if _, ok := errors.AsType[*SlowError](err); ok {
		return http.StatusRequestTimeout, reasonSlow, ""
	}
	if errors.Is(err, group.ErrLimit) {
		return http.StatusBadRequest, reasonLimit, ""
	}
	if _, ok := errors.AsType[*group.InvalidError](err); ok {
		return http.StatusBadRequest, reasonInvalid, ""
	}
	if _, ok := errors.AsType[*group.ConflictError](err); ok {
		return http.StatusBadRequest, reasonConflict, ""
	}
	switch {
	case errors.Is(err, ErrInFlight), gateway.Busy(err):
		return http.StatusServiceUnavailable, reasonBusy, "1"
	case errors.Is(err, gateway.ErrNotKept):
		return http.StatusServiceUnavailable, reasonUnavailable, "5"
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, reasonGone, "1"
	}
	return http.StatusInternalServerError, reasonInternal, ""
}

// refuse answers err and says so in log and metric.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, key group.Labels, err error) {
	_, why, _ := classify(err)
	http.Error(w, h.answer(why, err), h.noteRefusal(w, r, key, err))
}

// noteRefusal says so in log and metric, remembers it, sets Retry-After where that helps, and
// returns the status to answer.
func (h *Handler) noteRefusal(w http.ResponseWriter, r *http.Request, key group.Labels, err error) int {
	status, why, retryAfter := classify(err)
	h.metrics.refused.WithLabelValues(string(why)).Inc()
	h.quiet.Log(r.Context(), why.level(), "request refused", string(why), "method", group.Brief(r.Method),
		"path", group.Brief(r.URL.Path), "group", key.Brief(), "client", r.RemoteAddr, "status", status, "err", told(err))
	h.refusals.note(r, key, h.now(), status, why, h.answer(why, err))
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	return status
}

// answer is the text for the client: what was wrong, and what to change.
func (h *Handler) answer(why reason, err error) string {
	switch why {
	case reasonInvalid, reasonConflict:
		return "pushed metrics are invalid or inconsistent with existing metrics: " + told(err)
	case reasonLimit:
		return told(err) + h.limits.flags()
	case reasonPath, reasonQuery, reasonBody, reasonTooLarge, reasonSlow, reasonBusy, reasonUnavailable, reasonGone, reasonInternal:
	}
	return told(err)
}

// level is that of the log line: clients that push garbage must not fill the log
// of an operator, who does want to know what the state refused.
func (why reason) level() slog.Level {
	switch why {
	case reasonInvalid, reasonConflict, reasonLimit, reasonTooLarge:
		return slog.LevelWarn
	case reasonInternal:
		return slog.LevelError
	case reasonPath, reasonQuery, reasonBody, reasonSlow, reasonBusy, reasonUnavailable, reasonGone:
	}
	return slog.LevelDebug
}
