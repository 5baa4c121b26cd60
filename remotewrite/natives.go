package remotewrite

import (
	"net/http"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/convert"
)

// Natives says in which forms native histograms go out, of those that were pushed.
type Natives uint8

// The ways. send_native_histograms says whether 1.0 has them at all, and that the
// receiver holds them. Without it the classic form goes beside them in 2.0: a Cortex
// with its defaults says that it has stored a native histogram, and has not.
const (
	NativesSafe   Natives = iota
	NativesAlone          // never with the classic form
	NativesBeside         // always with the classic form
	NativesNever
)

// convertOptions says what a batch in p may hold.
func (d *Destination) convertOptions(p Protocol) convert.Options {
	known := d.config.SendNativeHistograms
	return convert.Options{
		SendNative:  d.sendsNatives(p),
		AlsoClassic: d.o.Natives == NativesBeside || d.o.Natives == NativesSafe && !known,
		Typed:       p == Protocol2,
		MadeClassic: p == Protocol1, // what has no native histograms has no 2.0
	}
}

func (d *Destination) sendsNatives(p Protocol) bool {
	return d.o.Natives != NativesNever && (p == Protocol2 || d.config.SendNativeHistograms) && !d.line.negotiation.withoutNatives(d.now())
}

// refusesNatives says whether an answer is that of a Prometheus whose native
// histograms are switched off. It is a 500, which would be tried again for ever.
func refusesNatives(a answer) bool {
	return a.status == http.StatusInternalServerError && strings.Contains(a.text, "native histograms are disabled")
}

// nativesRefused goes on without native histograms.
func (d *Destination) nativesRefused(series []convert.Series, a answer) {
	if !d.line.negotiation.leaveOutNatives(d.now()) {
		return
	}
	at := indexSeries(series, native)
	d.log.Warn("receiver has native histograms switched off: they are left out, and those that have a classic form are sent in that",
		"example", seriesName(series[at].Labels), "status", a.status, "answer", a.text)
}

// withoutNatives says whether the receiver has lately refused native histograms.
func (n *negotiation) withoutNatives(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return now.Before(n.nativesAt)
}

// leaveOutNatives goes on without native histograms for a while: receivers get
// upgraded. It returns whether that is news.
func (n *negotiation) leaveOutNatives(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	news := n.nativesAt.IsZero()
	n.nativesAt = now.Add(probeInterval)
	return news
}
