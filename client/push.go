package client

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// What bodies are. One whose last line is # EOF is OpenMetrics, which has to end so.
const (
	ContentTypeText        = "text/plain; version=0.0.4; charset=utf-8"
	ContentTypeOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

func contentType(body []byte) string {
	if bytes.HasSuffix(body, []byte("\n# EOF\n")) || bytes.HasSuffix(body, []byte("\n# EOF")) {
		return ContentTypeOpenMetrics
	}
	return ContentTypeText
}

// Label is one label of a grouping key.
type Label struct{ Name, Value string }

// Push is one change of a group.
type Push struct {
	ID          string  `json:"id"`       // the same for all attempts
	Method      string  `json:"method"`   // PUT, POST or DELETE
	Grouping    []Label `json:"grouping"` // the job first
	ContentType string  `json:"content_type,omitempty"`
	Encoding    string  `json:"encoding,omitempty"` // of Body: "gzip" or none
	Body        []byte  `json:"-"`

	// Wait is how long the answer may wait for the delivery to all destinations. 0: not
	// at all.
	Wait time.Duration `json:"-"`
}

// NewPush returns a push with an id of its own.
func NewPush(method string, grouping []Label, body []byte) Push {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return Push{ID: hex.EncodeToString(id), Method: method, Grouping: grouping, ContentType: contentType(body), Body: body}
}

// NewGrouping makes a grouping key of a job and labels, each written name=value.
func NewGrouping(job string, pairs []string) ([]Label, error) {
	if job == "" {
		return nil, errors.New("the job must have a name")
	}
	grouping := []Label{{model.JobLabel, job}}
	seen := map[string]bool{model.JobLabel: true}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return nil, fmt.Errorf("%q must be of the form name=value", pair)
		case !model.UTF8Validation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix):
			return nil, fmt.Errorf("%q is no name of a label", name)
		case seen[name]:
			return nil, fmt.Errorf("label %q is given twice", name)
		}
		seen[name] = true
		grouping = append(grouping, Label{name, value})
	}
	return grouping, nil
}

// path is the path of a group below the gateway's own, escaped.
func path(grouping []Label) string {
	var b strings.Builder
	b.WriteString("/metrics")
	for _, l := range grouping {
		name := l.Name
		if !model.LegacyValidation.IsValidLabelName(name) {
			name = model.EscapeName(name, model.ValueEncodingEscaping)
		}
		b.WriteString("/" + name)
		if plain(l.Value) {
			b.WriteString("/" + url.PathEscape(l.Value))
			continue
		}
		// A lone = is the empty value.
		b.WriteString("@base64/" + base64.RawURLEncoding.EncodeToString([]byte(l.Value)))
		if l.Value == "" {
			b.WriteByte('=')
		}
	}
	return b.String()
}

// plain reports whether a value survives a path: slashes separate, and dots are cleaned
// away, by us or by a proxy on the way.
func plain(value string) bool {
	return strings.Trim(value, ".") != "" && !strings.ContainsAny(value, "/\\%\x00\r\n")
}
