package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/remotewrite"
)

// FlagRemoteWriteURL is the flag that names a destination without a file.
const FlagRemoteWriteURL = "remote-write.url"

// Config is what the configuration file and --remote-write.url say together.
type Config struct {
	ExternalLabels labels.Labels
	Destinations   []*remotewrite.Config
	Traits         map[string]remotewrite.Traits // of destinations that have some, by name
	Rules          []group.Rule
	Jobs           []group.Job
	SendsNowhere   bool // the file says in words that there is no destination

	// Ignored names what the file holds that means nothing here: most of a
	// prometheus.yml, which may be given whole.
	Ignored []string

	// Unset are the environment variables that external labels name and that are
	// empty, or not there.
	Unset []string

	lines []int // of the sections that are in the file
}

// Load reads the configuration file, unless its name is empty, and adds a
// destination for each URL. When ctx ends it gives up.
func Load(ctx context.Context, file string, urls []string) (*Config, error) {
	c := &Config{}
	if file != "" {
		text, err := readFile(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("configuration file: %w", err)
		}
		if err := c.parse(text, filepath.Dir(file)); err != nil {
			return nil, fmt.Errorf("configuration file %s: %w", file, err)
		}
	}
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", FlagRemoteWriteURL, errNotURL)
		}
		d := remotewrite.DefaultConfig(&promconfig.URL{URL: u})
		if err := d.Validate(); err != nil {
			return nil, fmt.Errorf("--%s: %w", FlagRemoteWriteURL, err)
		}
		c.Destinations = append(c.Destinations, &d)
	}
	return c, remotewrite.Name(c.Destinations)
}

// readFile reads a file while ctx lasts: a pipe may never have an end.
func readFile(ctx context.Context, name string) ([]byte, error) {
	type content struct {
		text []byte
		err  error
	}
	read := make(chan content, 1)
	go func() {
		text, err := os.ReadFile(name)
		read <- content{text, err}
	}()
	select {
	case c := <-read:
		return c.text, c.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: %w", name, ctx.Err())
	}
}

// parse reads the text of a file in dir. Its error tells all that is wrong.
func (c *Config) parse(text []byte, dir string) error {
	var schema fileSchema
	var wrong problems
	if err := yaml.UnmarshalStrict(text, &schema); err != nil && !wrong.addDecoding(err) {
		return wrong.err()
	}
	wrong = append(wrong, schema.RemoteWrite.wrong...)
	if err := c.setExternalLabels(schema.Global.ExternalLabels.value); err != nil {
		wrong.add(schema.Global.ExternalLabels.line, fmt.Errorf("global.external_labels: %w", err))
	}
	c.Rules, c.Jobs = schema.Own.rules(&wrong), schema.Own.jobs(&wrong)
	c.Destinations, c.lines = schema.RemoteWrite.list, schema.RemoteWrite.lines
	c.SendsNowhere = c.Destinations != nil && len(c.Destinations) == 0
	for _, d := range c.Destinations {
		d.SetDirectory(dir)
	}
	c.Traits = schema.Own.traits(c.Destinations, &wrong)
	if len(wrong) == 0 {
		wrong.add(0, oneDocument(text))
	}
	if len(wrong) > 0 {
		return wrong.err()
	}
	if err := remotewrite.Name(c.Destinations); err != nil {
		return err
	}
	var err error
	c.Ignored, err = ignoredKeys(text)
	for _, d := range c.Destinations {
		for _, field := range d.Unused() {
			c.Ignored = append(c.Ignored, "remote_write."+d.ID()+"."+field)
		}
	}
	return err
}

// oneDocument refuses a file that says something behind its first document, where the
// decoder does not look.
func oneDocument(text []byte) error {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	for first := true; ; first = false {
		var said any
		switch err := documents.Decode(&said); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return Explain(err)
		case said != nil && !first:
			return errors.New("there is more than one document: only the first one, up to the next ---, would be read")
		}
	}
}

// setExternalLabels checks the labels, and replaces $NAME and ${NAME} in their
// values by what the environment says; $$ is one dollar sign.
func (c *Config) setExternalLabels(given map[string]string) error {
	expanded := make(map[string]string, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !model.UTF8Validation.IsValidLabelName(name) || name == model.MetricNameLabel {
			return fmt.Errorf("%q is not a label name", name)
		}
		value := os.Expand(given[name], func(variable string) string {
			if variable == "$" {
				return "$"
			}
			v := os.Getenv(variable)
			if v == "" {
				c.Unset = append(c.Unset, variable)
			}
			return v
		})
		if !model.LabelValue(value).IsValid() {
			return fmt.Errorf("%s: the value is not valid UTF-8", name)
		}
		expanded[name] = value
	}
	c.ExternalLabels = labels.FromMap(expanded)
	return nil
}

// ignoredKeys lists the keys that mean something to Prometheus alone.
func ignoredKeys(text []byte) ([]string, error) {
	var keys struct {
		Global map[string]any `yaml:"global"`
		Top    map[string]any `yaml:",inline"`
	}
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return nil, Explain(err)
	}
	delete(keys.Top, "remote_write")
	delete(keys.Top, "pushbridge")
	delete(keys.Global, "external_labels")
	ignored := slices.Sorted(maps.Keys(keys.Top))
	for _, name := range slices.Sorted(maps.Keys(keys.Global)) {
		ignored = append(ignored, "global."+name)
	}
	return ignored, nil
}

// LogRemarks says once what of the file has no effect, or perhaps not the one that
// is wanted.
func (c *Config) LogRemarks(logger *slog.Logger) {
	for _, variable := range c.Unset {
		logger.Warn("an environment variable that external_labels name is empty", "name", variable)
	}
	if len(c.Ignored) > 0 {
		logger.Info("parts of the configuration file have no effect here", "keys", strings.Join(c.Ignored, ", "))
	}
}
