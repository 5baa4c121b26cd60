package group

import (
	"math"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// part reads one family in the exposition format.
func part(t testing.TB, text string) *Part {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || len(byName) != 1 {
		t.Fatalf("%d families: %v", len(byName), err)
	}
	var mfs []*dto.MetricFamily
	for _, mf := range byName {
		mfs = append(mfs, mf)
	}
	built, err := FromDTO(mfs, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// labelsOf reads "job=a instance=b".
func labelsOf(text string) Labels {
	var l []Label
	for f := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(f, "=")
		l = append(l, Label{name, value})
	}
	return NewLabels(l)
}

var inf = math.Inf(1)
