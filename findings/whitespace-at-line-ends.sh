#!/bin/sh
# The text format says that blanks at both ends of a line are ignored. Two parsers
# of the Prometheus project read it, and each stumbles at another end: expfmt
# (common v0.72.1; Pushgateway and exporters' libraries use it) refuses a line with a
# blank behind its value, and textparse (prometheus v0.314.0; scraping) takes
# a blank before the name for a part of the name, without an error.
. "$(dirname "$0")/lib.sh"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

func main() {
	for _, text := range []string{"m 1\n", " m 1\n", "m 1 \n"} {
		fmt.Printf("%-8q expfmt: %s; textparse: %s\n", text, byExpfmt(text), byTextparse(text))
	}
}

func byExpfmt(text string) string {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return "refused"
	}
	for name := range families {
		return fmt.Sprintf("%q", name)
	}
	return "nothing"
}

func byTextparse(text string) string {
	p, err := textparse.New([]byte(text), "text/plain; version=0.0.4", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return err.Error()
	}
	name := "nothing"
	for {
		entry, err := p.Next()
		switch {
		case err == io.EOF:
			return name
		case err != nil:
			return "refused"
		case entry == textparse.EntrySeries:
			var l labels.Labels
			p.Labels(&l)
			name = fmt.Sprintf("%q", l.Get("__name__"))
		}
	}
}
GO
cat >want <<'WANT'
"m 1\n"  expfmt: "m"; textparse: "m"
" m 1\n" expfmt: "m"; textparse: " m"
"m 1 \n" expfmt: refused; textparse: "m"
WANT
gorun $prometheus $common $experimental >got
same
