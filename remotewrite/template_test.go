package remotewrite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// knownSeries are n series of a large push whose labels a face knows.
func knownSeries(n int) []convert.Series {
	all := make([]convert.Series, n)
	for i := range all {
		l := labelsOf("__name__", "rows_total", "partition", fmt.Sprint(i))
		all[i] = convert.Series{
			Labels: l, Known: &convert.Known{Hash: hashLabels(l)}, Time: 1_700_000_000_000, Value: float64(i + 1),
			Family: convert.FamilyInfo{Name: "rows_total", Help: "Rows.", Type: group.Counter},
		}
	}
	return all
}

// TestTemplates writes large pushes again and again, with anything else in some of them: with and
// without templates the requests are the same.
func TestTemplates(t *testing.T) {
	const n = templateSeriesMin + 20
	rng := rand.New(rand.NewPCG(1, 2))
	other := knownSeries(n)
	for name, change := range map[string]func([]convert.Series) []convert.Series{
		"values":             func(s []convert.Series) []convert.Series { return s },
		"zeros":              func(s []convert.Series) []convert.Series { s[rng.IntN(n)].Value = 0; return s },
		"another series":     func(s []convert.Series) []convert.Series { s[n/2] = other[n/2]; return s },
		"another first":      func(s []convert.Series) []convert.Series { s[0] = other[0]; return s },
		"labels not known":   func(s []convert.Series) []convert.Series { s[n/3].Known = nil; return s },
		"a time of its own":  func(s []convert.Series) []convert.Series { s[n-1].Time += 5; return s },
		"a time of 1970":     func(s []convert.Series) []convert.Series { s[7].Time = 5; return s },
		"before 1970":        func(s []convert.Series) []convert.Series { s[7].Time = -5; return s },
		"at 1970":            func(s []convert.Series) []convert.Series { s[7].Time = 0; return s },
		"a start":            func(s []convert.Series) []convert.Series { s[9].Start = 1_600_000_000_000; return s },
		"an exemplar":        func(s []convert.Series) []convert.Series { s[9].Exemplars = make([]convert.Exemplar, 1); return s },
		"a marker":           func(s []convert.Series) []convert.Series { s[9].Stale, s[9].Family.Help = true, ""; return s },
		"a native histogram": func(s []convert.Series) []convert.Series { s[9] = seriesCases()[5]; return s },
		"fewer":              func(s []convert.Series) []convert.Series { return s[:n-3] },
		"two records":        func(s []convert.Series) []convert.Series { s[n-1].Record++; return s },
	} {
		t.Run(name, func(t *testing.T) {
			room := &faceRoom{max: 1 << 20}
			e := encoder2{templates: newTemplates(room)}
			series := knownSeries(n)
			for i := range 400 {
				for k := range series {
					series[k].Value, series[k].Time = rng.ExpFloat64()+1, 1_700_000_000_000+int64(1000*i)
				}
				now := slices.Clone(series)
				if rng.IntN(3) == 0 {
					now = change(now)
				}
				if want, got := new(encoder2).append(nil, now), e.append([]byte("before"), now); !bytes.Equal(got[6:], want) {
					t.Fatalf("request %d:\n%x\nwant\n%x", i, got[6:], want)
				}
			}
			held := int64(0)
			for _, x := range e.templates.known {
				held += x.bytes
			}
			if held != room.held.Load() || held > room.max {
				t.Errorf("%d bytes are counted of %d, and %d held", room.held.Load(), room.max, held)
			}
		})
	}
}

// TestTemplatesAreUsed: the third of three pushes is written from a template, which goes when others
// are sent for long.
func TestTemplatesAreUsed(t *testing.T) {
	room := &faceRoom{max: 1 << 20}
	e := encoder2{templates: newTemplates(room)}
	series := knownSeries(templateSeriesMin)
	for range 3 {
		e.append(nil, series)
	}
	x := e.templates.known[series[0].Known.Hash]
	if x == nil || x.used != 1 {
		t.Fatalf("the third request has the template %+v", x)
	}
	for range 4 * templatesSweep {
		e.append(nil, seriesCases())
	}
	if len(e.templates.known) > 0 || room.held.Load() != 0 {
		t.Errorf("%d templates are left, with %d bytes", len(e.templates.known), room.held.Load())
	}
}

// TestTemplatesHaveRoom: without room there is no template.
func TestTemplatesHaveRoom(t *testing.T) {
	room := &faceRoom{max: 1000}
	e := encoder2{templates: newTemplates(room)}
	series := knownSeries(templateSeriesMin)
	for range 5 {
		e.append(nil, series)
	}
	if len(e.templates.known) > 0 || room.held.Load() != 0 {
		t.Errorf("%d templates, with %d bytes", len(e.templates.known), room.held.Load())
	}
}
