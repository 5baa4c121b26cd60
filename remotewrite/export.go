package remotewrite

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/pushbridge/pushbridge/deadletter"
)

// exported is one sample of a dead letter, for people and scripts.
type exported struct {
	Letter      uint64            `json:"letter"`
	Destination string            `json:"destination"`
	Reason      string            `json:"reason"`
	Status      int               `json:"status,omitempty"`
	Text        string            `json:"text,omitempty"`
	GivenUp     time.Time         `json:"given_up"`
	Group       string            `json:"group,omitempty"`
	Labels      map[string]string `json:"labels"`
	Timestamp   int64             `json:"timestamp"`           // ms since the epoch
	Value       string            `json:"value,omitempty"`     // "stale" for a stale marker
	Histogram   string            `json:"histogram,omitempty"` // a native one
}

// ExportLetter writes the samples of a dead letter, one line of JSON each.
func ExportLetter(w io.Writer, l deadletter.Letter) error {
	series, err := unpackLetter(l.Body)
	if err != nil {
		return err
	}
	out := json.NewEncoder(w)
	for i := range series {
		x := &series[i]
		line := exported{
			Letter: l.ID, Destination: l.Destination, Reason: l.Reason, Status: l.Status, Text: l.Text, GivenUp: l.Time,
			Group: l.Group, Labels: make(map[string]string, len(x.Labels)), Timestamp: x.Time,
			Value: strconv.FormatFloat(x.Value, 'g', -1, 64),
		}
		for _, pair := range x.Labels {
			line.Labels[pair.Name] = pair.Value
		}
		switch {
		case x.Stale:
			line.Value = "stale"
		case x.Hist != nil:
			line.Value, line.Histogram = "", x.Hist.String()
		case x.FloatHist != nil:
			line.Value, line.Histogram = "", x.FloatHist.String()
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
