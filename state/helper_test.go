package state

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/pushbridge/pushbridge/group"
)

// parse reads text in the exposition format.
func parse(t testing.TB, text string) []*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var mfs []*dto.MetricFamily
	for _, name := range sortedKeys(byName) {
		mfs = append(mfs, byName[name])
	}
	return mfs
}

func part(t testing.TB, text string) *group.Part {
	t.Helper()
	p, err := group.FromDTO(parse(t, text), group.BuildOptions{AcceptTimestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// labelsOf reads "job=a instance=b".
func labelsOf(text string) group.Labels {
	var l []group.Label
	for f := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(f, "=")
		l = append(l, group.Label{Name: name, Value: value})
	}
	return group.NewLabels(l)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var inf = math.Inf(1)

// family reads a metric family written as a protobuf text message.
func family(t testing.TB, text string) *dto.MetricFamily {
	t.Helper()
	mf := &dto.MetricFamily{}
	if err := prototext.Unmarshal([]byte(text), mf); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return mf
}

// refill is Bulk, which must not fail.
func refill(t testing.TB, s *Store, floor int64, fill func() error) {
	t.Helper()
	if err := s.Bulk(func() (int64, error) { return floor, fill() }); err != nil {
		t.Fatal(err)
	}
}
