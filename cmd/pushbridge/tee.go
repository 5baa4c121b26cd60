package main

import (
	"fmt"
	"time"

	"github.com/prometheus/common/version"

	"github.com/pushbridge/pushbridge/client"
	"github.com/pushbridge/pushbridge/tee"
)

// teeSettings are what the flags say of copies.
type teeSettings struct {
	client   *client.Client // nil: none are made
	maxBytes int64
}

func (s *teeSettings) read(r *flagReader) {
	s.maxBytes = r.bytes(flagTeeMaxBytes, 1)
	to, file := r.c.String(flagTeeURL), r.c.String(flagTeeHTTPConfig)
	switch {
	case to == "" && file == "":
		return
	case to == "":
		r.fail(flagTeeHTTPConfig, fmt.Errorf("has no meaning without --%s", flagTeeURL))
		return
	}
	var err error
	s.client, err = client.New(client.Options{
		URL: to, HTTPConfigFile: file, AttemptTimeout: 30 * time.Second, UserAgent: program + "/" + version.Version,
	})
	if err != nil {
		r.fail(choose(file == "", flagTeeURL, flagTeeHTTPConfig), err)
	}
}

// newTee makes what copies pushes.
func (s *server) newTee() *tee.Tee {
	return tee.New(tee.Options{
		Client: s.settings.tee.client, Prefix: s.settings.routePrefix, MaxBytes: s.settings.tee.maxBytes,
		FlushDeadline: s.settings.shutdownTimeout, Logger: s.log.With("component", "tee"), Registerer: s.registry,
	})
}
