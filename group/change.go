package group

import "time"

// Change is what a client asks for.
type Change struct {
	Kind   Kind // KindPut, KindPost, KindDelete or KindFail
	Labels Labels
	Job    bool          // the gateway's own, about an expected job: Labels are a JobKey
	Part   *Part         // for a push; nil is as good as empty. The state owns it from then on
	TTL    time.Duration // for a push: how long the group lives; 0 for ever

	How *Aggregation // for a push: it is added to what is there; nil: it takes its place
	Key PushKey      // of a push that is added, or the end of what was: what was kept once is not done again

	// Push and Fail are what an import says of the group's push times, in ns since
	// the epoch; 0 means now for Push of a push and Fail of a refused one, and what
	// the group has otherwise. They do not stamp samples.
	Push, Fail int64
}
