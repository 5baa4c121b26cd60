package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// openMetricsModule has the test files of the format's specification.
const openMetricsModule = "github.com/prometheus/OpenMetrics@v1.0.1-0.20250131122238-3bb328ab04d2"

// TestOpenMetricsTestFiles pushes each test file of the specification. What Prometheus'
// parser refuses is refused, and what it takes is shown as the series that it makes; but
// for texts that have a series or a label twice.
func TestOpenMetricsTestFiles(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", openMetricsModule).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(module.Dir, "tests/testdata/parsers/*/metrics"))
	if err != nil || len(files) < 200 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	g := startPushbridge(t, "--push.accept-timestamps", "--push.max-age=0", "--push.enable-utf8-names")
	count := map[string]int{}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		outcome, diff := pushOpenMetrics(t, g, string(text))
		count[outcome]++
		if diff != "" {
			t.Errorf("%s: %s\n%s", name, outcome, diff)
		}
	}
	t.Log(count)
}

// pushOpenMetrics pushes a text and says what became of it, and how that differs from a
// scrape.
func pushOpenMetrics(t *testing.T, g *gateway, text string) (outcome, diff string) {
	t.Helper()
	want, parseErr := openMetricsSeries(textparse.NewOpenMetricsParser([]byte(text), labels.NewSymbolTable()))
	must(t, http.MethodDelete, g.url+"/metrics/job/om", "")
	status, answer, err := send(t.Context(), http.MethodPut, g.url+"/metrics/job/om", text,
		[]string{"Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8"})
	switch {
	case err != nil:
		t.Fatal(err)
	case parseErr != nil && status == http.StatusBadRequest:
		return "refused by both", ""
	case parseErr != nil:
		return "accepted", fmt.Sprintf("a scrape refuses it: %v", parseErr)
	case status == http.StatusBadRequest && strings.Contains(answer, "was pushed twice"):
		return "a series twice", ""
	case status == http.StatusBadRequest && strings.Contains(answer, "occurs twice"):
		return "a label twice, which a scrape refuses behind its parser", ""
	case status != http.StatusOK:
		return fmt.Sprint(status), answer
	}
	shown := mustGet(t, g.url+"/metrics")
	p, err := textparse.New([]byte(shown), "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := openMetricsSeries(p)
	if err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(s string) bool {
		return !strings.Contains(s, `job="om"`) || strings.Contains(s, `"push_time_seconds"`) || strings.Contains(s, `"push_failure_time_seconds"`)
	})
	for i := range got {
		got[i] = strings.NewReplacer(`, job="om"`, "", `job="om", `, "").Replace(got[i])
	}
	slices.Sort(got)
	return "the same series", cmp.Diff(want, got, cmpopts.EquateEmpty())
}

func openMetricsSeries(p textparse.Parser) (series []string, err error) {
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(series)
			return series, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		if strings.HasSuffix(l.Get("__name__"), "_created") {
			continue // times of creation belong to their metrics; alone they are series
		}
		_, _, v := p.Series()
		if math.IsNaN(v) {
			v = math.NaN() // of whatever bits
		}
		series = append(series, fmt.Sprintf("%s %v", l.WithoutEmpty(), v))
	}
}
