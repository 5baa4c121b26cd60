package main

import (
	"path/filepath"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/pgfile"
)

// newKeeper keeps Pushgateway's file beside the state.
func (g *gateway) newKeeper() *pgfile.Keeper {
	o := pgfile.Options{
		File:     g.settings.persistenceFile,
		Interval: g.settings.persistenceInterval,
		Store:    g.store,
		Import:   g.writer.Import,
		TTL:      g.defaultTTL,
		Now:      g.now,
		Logger:   g.log.With("component", "persistence"),

		Registerer: g.registry,
	}
	if g.storageDir != "" {
		o.Hashes = filepath.Join(g.storageDir, "persistence.sha256")
	}
	return pgfile.NewKeeper(o)
}

// defaultTTL is how long a group lives after a push that does not say it.
func (g *gateway) defaultTTL(l group.Labels) time.Duration {
	if rules := g.store.Rules(); rules != nil {
		return rules.Of(l).TTL
	}
	return g.settings.ttl
}
