package main

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"

	"github.com/pushbridge/pushbridge/job"
)

// alike is from where on a name is worth asking about: letters that are missing, swapped
// or mistyped stay above it, other words below.
const alike = 0.9

// nearest returns the one of names that is most like given, empty when none is.
func nearest(given string, names []string) string {
	best, most := "", alike
	if slices.Contains(names, given) {
		return "" // it is that, in the wrong place
	}
	slices.Sort(names)
	for _, name := range names {
		if like := smetrics.JaroWinkler(given, name, 0.7, 4); like > most {
			best, most = name, like
		}
	}
	return best
}

// meant asks behind a message about a name whether another one was meant.
func meant(given string, names []string, prefix string) string {
	if name := nearest(given, names); name != "" {
		return " (did you mean " + prefix + name + "?)"
	}
	return ""
}

// envPrefix begins the names of all variables that are ours.
const envPrefix = "PUSHBRIDGE_"

// unknownEnv returns the variables of an environment that look like ours, and that no
// command reads, each with the one that was meant, if that can be guessed.
func unknownEnv(environ []string, commands []*cli.Command) map[string]string {
	known := []string{job.MetricsVariable}
	for _, c := range commands {
		for _, f := range c.Flags {
			known = append(known, envName(f.Names()[0]))
		}
	}
	bare := make([]string, len(known))
	for i, name := range known {
		bare[i] = strings.TrimPrefix(name, envPrefix)
	}
	unknown := map[string]string{}
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) && !ofService(name) {
			unknown[name] = nearest(strings.TrimPrefix(name, envPrefix), bare)
		}
	}
	return unknown
}

// ofService reports whether Kubernetes sets a variable of this name in every container
// that lives beside a service called pushbridge.
func ofService(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

// warnOfEnv names the variables that nobody reads.
func warnOfEnv(log *slog.Logger, unknown map[string]string) {
	for name, other := range unknown {
		if other == "" {
			log.Warn("an environment variable is none of ours, and has no effect", "name", name)
			continue
		}
		log.Warn("an environment variable is none of ours, and has no effect", "name", name, "did_you_mean", envPrefix+other)
	}
}
