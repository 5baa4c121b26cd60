package remotewrite

import (
	"errors"
	"strings"
	"testing"

	"github.com/pushbridge/pushbridge/group"
)

// TestLongTextsAreCut has a receiver that says much, and a series that is long:
// the log and the page have lines of ordinary length.
func TestLongTextsAreCut(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, got := range map[string]string{
		"answer that is no HTTP": answer{err: errors.New("malformed HTTP response " + long)}.problem(),
		"location":               brief(long),
		"series":                 seriesName([]group.Label{{Name: nameLabel, Value: long}, {Name: "l", Value: long}}),
		"name":                   seriesName([]group.Label{{Name: nameLabel, Value: long}}),
	} {
		if len(got) > 2*maxErrorText {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}
