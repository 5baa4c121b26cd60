package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/pushbridge/pushbridge/group"
)

// PushID names the record of a change, over restarts and among all stores: nothing has
// to be remembered for it. The hash of the job says which shard of a destination has it.
type PushID struct {
	Store string // the first half of the store's identity, in hex
	Seq   uint64 // of the record; 0 for no record
	Job   uint32 // group.HashJob
}

// MaxPushID is how long an id can be, in bytes. It consists of lower-case letters, digits
// and dashes.
const MaxPushID = storeDigits + 1 + 20 + 1 + jobDigits

const (
	storeDigits = 16
	jobDigits   = 8
)

// String returns the id as clients hear it.
func (p PushID) String() string {
	b := append(make([]byte, 0, MaxPushID), p.Store...)
	b = strconv.AppendUint(append(b, '-'), p.Seq, 10)
	job := binary.BigEndian.AppendUint32(make([]byte, 0, jobDigits/2), p.Job)
	return string(hex.AppendEncode(append(b, '-'), job))
}

// PushIDHeader is the header that names the record of a push or DELETE.
const PushIDHeader = "X-Pushbridge-Push-Id"

// errPushID says how an id looks.
var errPushID = errors.New("not a push id: take it as it is from the header " + PushIDHeader)

// ParsePushID reads what String has written, and nothing else.
func ParsePushID(text string) (PushID, error) {
	fields := strings.Split(text, "-")
	if len(text) > MaxPushID || len(fields) != 3 || len(fields[0]) != storeDigits || len(fields[2]) != jobDigits {
		return PushID{}, errPushID
	}
	_, err := strconv.ParseUint(fields[0], 16, 64)
	seq, err2 := strconv.ParseUint(fields[1], 10, 64)
	job, err3 := strconv.ParseUint(fields[2], 16, 32)
	p := PushID{Store: fields[0], Seq: seq, Job: uint32(job)}
	if errors.Join(err, err2, err3) != nil || seq == 0 || p.String() != text || strings.ToLower(text) != text {
		return PushID{}, errPushID
	}
	return p, nil
}

// PushID names the record seq, of the group with this key, whoever has committed it.
func (g *Gateway) PushID(seq uint64, key group.Labels) PushID { return g.pushID(seq, key.Job()) }

// pushID names the record seq, of a group of job.
func (g *Gateway) pushID(seq uint64, job string) PushID {
	return PushID{Store: g.store, Seq: seq, Job: group.HashJob(job)}
}

func storeOf(l *Log) string {
	id := l.Identity()
	return hex.EncodeToString(id[:storeDigits/2])
}

// The errors of Find.
var (
	ErrOtherStore = errors.New("this push id is of another store: of another gateway, or of this one before its storage was new")
	ErrNoRecord   = errors.New("there is no such push: its sequence was not given out yet")
)

// Find returns what the text of an id names, if this gateway can have given it out.
func (g *Gateway) Find(text string) (PushID, error) {
	p, err := ParsePushID(text)
	switch {
	case err != nil:
		return p, err
	case p.Store != g.store:
		return p, ErrOtherStore
	case p.Seq > g.log.Head():
		return p, ErrNoRecord
	}
	return p, nil
}
