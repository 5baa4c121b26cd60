package deadletter

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Letter is what was refused at once: some samples of one push, for one reason.
type Letter struct {
	ID          uint64    `json:"id"` // given by Append, rising
	Destination string    `json:"destination"`
	Shard       int       `json:"shard"`
	Seq         uint64    `json:"seq"` // of the newest record that it is from
	Group       string    `json:"group,omitempty"`
	Reason      string    `json:"reason"`
	Status      int       `json:"status,omitempty"` // of the answer
	Text        string    `json:"text,omitempty"`   // of the answer
	Time        time.Time `json:"time"`             // when they were given up
	Samples     uint64    `json:"samples"`          // that were lost
	Series      int       `json:"series"`           // in Body; more than Samples where nobody knows which ones were lost
	Guess       bool      `json:"guess,omitempty"`  // some of the samples in Body may be stored
	Tried       bool      `json:"tried,omitempty"`  // they were sent once more, and nobody has noted what came of it
	Body        []byte    `json:"-"`
}

// Redeemed is what became of letters that were sent once more.
type Redeemed struct {
	IDs         []uint64          `json:"ids"`
	Destination string            `json:"destination"`
	Samples     map[string]uint64 `json:"samples,omitempty"` // by the reason for which they were lost
	Rest        *Letter           `json:"rest,omitempty"`    // what is left, in place of the letters
}

// Account is what is known of all letters that a destination ever had.
type Account struct {
	Redeemed map[string]uint64 `json:"redeemed,omitempty"` // samples that were delivered after all, by reason
	Evicted  uint64            `json:"evicted,omitempty"`  // samples of letters that went because of the bound
}

// settledMark says that all letters of a destination up to one are accounted for.
type settledMark struct {
	Destination string `json:"destination"`
	UpTo        uint64 `json:"up_to"`
}

// triedMark says of letters that they may have arrived, or that they have not after all.
type triedMark struct {
	IDs   []uint64 `json:"ids"`
	Tried bool     `json:"tried"`
}

// ledger stands at the beginning of each file, and before files are removed.
type ledger struct {
	Next     uint64             `json:"next"`   // id
	Oldest   uint64             `json:"oldest"` // number of the first file that counts
	Accounts map[string]Account `json:"accounts,omitempty"`
}

var errPayload = errors.New("payload is not what its kind says")

// encode writes head, and the samples behind it.
func encode(head any, body []byte) ([]byte, error) {
	text, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode a dead letter: %w", err)
	}
	out := binary.AppendUvarint(make([]byte, 0, len(text)+len(body)+4), uint64(len(text)))
	return append(append(out, text...), body...), nil
}

// decode reads what encode wrote into head and returns what stands behind it.
func decode(payload []byte, head any) (body []byte, err error) {
	n, w := binary.Uvarint(payload)
	if w <= 0 || n > uint64(len(payload)-w) {
		return nil, errPayload
	}
	if err := json.Unmarshal(payload[w:w+int(n)], head); err != nil {
		return nil, errors.Join(errPayload, err)
	}
	return payload[w+int(n):], nil
}
