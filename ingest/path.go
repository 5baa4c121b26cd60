package ingest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/group"
)

// base64Suffix on a label name says that the value behind it is base64.
const base64Suffix = "@base64"

// groupingKey decodes t. The order of the checks is Pushgateway's: the job's
// base64, the labels, the empty job. With utf8Names a label name may be any
// UTF-8 text, and may be written with U__ escapes.
func (t target) groupingKey(utf8Names bool) (group.Labels, error) {
	job := t.job
	if t.base64 {
		var err error
		if job, err = decodeBase64(t.job); err != nil {
			return nil, pathErrorf("invalid base64 in job name %q (the URL-safe alphabet is expected): %w", group.Brief(t.job), err)
		}
	}
	labels, err := splitLabels(t.labels, utf8Names)
	if err != nil {
		return nil, err
	}
	if job == "" {
		return nil, pathErrorf("job name is required: push to /metrics/job/NAME")
	}
	labels = append(labels, group.Label{Name: "job", Value: job})
	slices.Reverse(labels) // the job wins, and of a repeated label the last one
	return group.NewLabels(labels), checkUTF8(labels)
}

// splitLabels decodes the components behind the job, in the order of the path.
func splitLabels(s string, utf8Names bool) ([]group.Label, error) {
	if len(s) <= 1 {
		return nil, nil
	}
	slashes := strings.Count(s, "/")
	if slashes%2 != 0 {
		return nil, pathErrorf("odd number of components in label string %q: each label name needs a value "+
			"(a value that holds a slash, or nothing, goes as LABEL@base64/VALUE)", group.Brief(s))
	}
	labels := make([]group.Label, 0, slashes/2+1) // and one for the job
	rest := s[1:]
	for range slashes / 2 {
		var name, value string
		name, rest, _ = strings.Cut(rest, "/")
		value, rest, _ = strings.Cut(rest, "/")
		l, err := pathLabel(name, value, utf8Names)
		if err != nil {
			return nil, err
		}
		labels = append(labels, l)
	}
	return labels, nil
}

func pathLabel(name, value string, utf8Names bool) (group.Label, error) {
	plain, encoded := strings.CutSuffix(name, base64Suffix)
	label := plain
	scheme := model.LegacyValidation
	if utf8Names {
		label = model.UnescapeName(plain, model.ValueEncodingEscaping)
		scheme = model.UTF8Validation
	}
	if !scheme.IsValidLabelName(label) || strings.HasPrefix(label, model.ReservedLabelPrefix) {
		return group.Label{}, pathErrorf("improper label name %q in the path%s", group.Brief(plain), labelNameHint(plain, utf8Names))
	}
	if !encoded {
		return group.Label{Name: label, Value: value}, nil
	}
	decoded, err := decodeBase64(value)
	if err != nil {
		return group.Label{}, pathErrorf("invalid base64 in label %s=%q (the URL-safe alphabet is expected): %w", group.Brief(plain), group.Brief(value), err)
	}
	return group.Label{Name: label, Value: decoded}, nil
}

func labelNameHint(name string, utf8Names bool) string {
	switch {
	case strings.HasPrefix(name, model.ReservedLabelPrefix):
		return ": names that begin with __ are reserved"
	case !utf8Names && model.UTF8Validation.IsValidLabelName(name):
		return ": names outside [a-zA-Z_][a-zA-Z0-9_]* need --push.enable-utf8-names"
	}
	return ""
}

// decodeBase64 takes the URL-safe alphabet with or without padding, so that a
// lone "=" can stand for the empty value.
func decodeBase64(s string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	return string(b), err
}

// checkUTF8 refuses what no exposition format can carry. One such value in the
// state would make every scrape fail.
func checkUTF8(labels []group.Label) error {
	for _, l := range labels {
		if !utf8.ValidString(l.Value) {
			return pathErrorf("value of label %q in the path is not valid UTF-8: %q", group.Brief(l.Name), group.Brief(l.Value))
		}
	}
	return nil
}

func pathErrorf(format string, args ...any) error {
	return &MalformedError{Part: "path", Err: fmt.Errorf(format, args...)}
}
