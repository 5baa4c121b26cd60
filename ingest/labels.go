package ingest

import (
	"bytes"
	"fmt"

	"github.com/pushbridge/pushbridge/group"
)

// DefaultMaxLabels is more than any receiver takes by default.
const DefaultMaxLabels = 128

// firstBeyond returns where the first line of b begins that has more than most
// labels, and how many it has; -1 when none has. The parser compares each label
// with all before it, so what has many must not get there.
func firstBeyond(b []byte, most int) (at, labels int) {
	if most == 0 {
		return -1, 0
	}
	most += leLabel
	if bytes.Count(b, []byte("=")) <= most {
		return -1, 0
	}
	for at := 0; at < len(b); {
		line := b[at:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		if bytes.Count(line, []byte("=")) > most {
			if n := countLabels(line); n > most {
				return at, n
			}
		}
		at += len(line)
	}
	return -1, 0
}

// leLabel is one that a line may have although its series has not.
const leLabel = 1

// countLabels counts the equals signs of a sample's line outside quotes.
func countLabels(line []byte) int {
	line = bytes.TrimLeft(line, " \t")
	if len(line) > 0 && line[0] == '#' {
		return 0
	}
	n, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '=' && !quoted:
			n++
		}
	}
	return n
}

// beyondLabels refuses the line of b that begins at at.
func beyondLabels(b []byte, at, labels, most int) error {
	name := bytes.TrimLeft(b[at:], " \t")
	name = name[:max(0, bytes.IndexAny(name, "{ \t\n"))]
	return &group.InvalidError{Family: string(name), Err: fmt.Errorf("%w: the series in line %d has %d labels, at most %d are allowed",
		group.ErrLimit, 1+bytes.Count(b[:at], []byte("\n")), labels, most)}
}
