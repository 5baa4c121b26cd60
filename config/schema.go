package config

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/remotewrite"
)

// fileSchema is the file, field by field. Prometheus' own keys stand in it so
// that a misspelled key is an error, and not a key to ignore.
type fileSchema struct {
	// What goes for the whole gateway.
	Global globalSchema `yaml:"global"`
	// The destinations, as Prometheus has them. [] says that there are none.
	RemoteWrite sectionList `yaml:"remote_write"`
	// What Prometheus has no fields for.
	Own ownSchema `yaml:"pushbridge"`

	Prometheus prometheusKeys `yaml:",inline"`
}

// prometheusKeys are the top-level keys that only Prometheus has a use for.
type prometheusKeys struct {
	Runtime           any `yaml:"runtime"`
	Alerting          any `yaml:"alerting"`
	RuleFiles         any `yaml:"rule_files"`
	ScrapeConfigFiles any `yaml:"scrape_config_files"`
	ScrapeConfigs     any `yaml:"scrape_configs"`
	Storage           any `yaml:"storage"`
	Tracing           any `yaml:"tracing"`
	RemoteRead        any `yaml:"remote_read"`
	OTLP              any `yaml:"otlp"`
}

type globalSchema struct {
	// Labels that every series gets unless it has them. $NAME and ${NAME} are replaced
	// from the environment.
	ExternalLabels item[map[string]string] `yaml:"external_labels"`
	Prometheus     prometheusGlobal        `yaml:",inline"`
}

// prometheusGlobal are the fields of global that only Prometheus has a use for.
type prometheusGlobal struct {
	ScrapeInterval                 any `yaml:"scrape_interval"`
	ScrapeTimeout                  any `yaml:"scrape_timeout"`
	ScrapeProtocols                any `yaml:"scrape_protocols"`
	EvaluationInterval             any `yaml:"evaluation_interval"`
	RuleQueryOffset                any `yaml:"rule_query_offset"`
	QueryLogFile                   any `yaml:"query_log_file"`
	ScrapeFailureLogFile           any `yaml:"scrape_failure_log_file"`
	BodySizeLimit                  any `yaml:"body_size_limit"`
	SampleLimit                    any `yaml:"sample_limit"`
	TargetLimit                    any `yaml:"target_limit"`
	LabelLimit                     any `yaml:"label_limit"`
	LabelNameLengthLimit           any `yaml:"label_name_length_limit"`
	LabelValueLengthLimit          any `yaml:"label_value_length_limit"`
	KeepDroppedTargets             any `yaml:"keep_dropped_targets"`
	MetricNameValidationScheme     any `yaml:"metric_name_validation_scheme"`
	MetricNameEscapingScheme       any `yaml:"metric_name_escaping_scheme"`
	ScrapeNativeHistograms         any `yaml:"scrape_native_histograms"`
	ConvertClassicHistogramsToNHCB any `yaml:"convert_classic_histograms_to_nhcb"`
	AlwaysScrapeClassicHistograms  any `yaml:"always_scrape_classic_histograms"`
	ExtraScrapeMetrics             any `yaml:"extra_scrape_metrics"`
}

// sectionList decodes remote_write, and notes of each section that is wrong which one it
// is, and where.
type sectionList struct {
	list  []*remotewrite.Config // nil: there is no list
	lines []int                 // of the sections
	wrong problems
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *sectionList) UnmarshalYAML(unmarshal func(any) error) error {
	var nodes []node
	if err := unmarshal(&nodes); err != nil {
		return err
	}
	l.list = []*remotewrite.Config{} // not nil: the list is there, perhaps empty
	var typeErrors yaml.TypeError
	for i, n := range nodes {
		c := &remotewrite.Config{}
		line := n.line()
		err := n.decode(c)
		if wrong, ok := err.(*yaml.TypeError); ok { //nolint:errorlint // the decoder returns it bare, and has lines in it
			typeErrors.Errors = append(typeErrors.Errors, wrong.Errors...)
		} else if err != nil {
			l.wrong.add(line, Explain(fmt.Errorf("remote_write, section %d%s: %w", i+1, named(c), err)))
		}
		l.list, l.lines = append(l.list, c), append(l.lines, line)
	}
	if typeErrors.Errors != nil {
		return &typeErrors
	}
	return nil
}

func named(c *remotewrite.Config) string {
	if c.Name == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", c.Name)
}

// node is a piece of the file that is decoded later.
type node struct{ unmarshal func(any) error }

// UnmarshalYAML implements yaml.Unmarshaler.
func (n *node) UnmarshalYAML(unmarshal func(any) error) error {
	n.unmarshal = unmarshal
	return nil
}

// line returns where the piece begins, 0 for one that is empty.
func (n *node) line() int {
	if n.unmarshal == nil {
		return 0
	}
	return lineOf(n.unmarshal)
}

func (n *node) decode(to any) error {
	if n.unmarshal == nil {
		return errors.New("is empty")
	}
	return n.unmarshal(to)
}
