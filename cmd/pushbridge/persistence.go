package main

import (
	"path/filepath"

	"github.com/pushbridge/pushbridge/pgfile"
)

// hashesName is the file of the storage directory that tells Pushgateway's file as we
// wrote it from one that somebody else wrote.
const hashesName = "persistence.sha256"

// newKeeper keeps Pushgateway's file beside the state.
func (g *server) newKeeper() *pgfile.Keeper {
	o := pgfile.Options{
		File:     g.settings.persistenceFile,
		Interval: g.settings.persistenceInterval,
		Store:    g.gateway.State(),
		Import:   g.gateway.Import,
		Now:      g.now,
		Logger:   g.log.With("component", "persistence"),

		Registerer: g.registry,
	}
	if g.storageDir != "" {
		o.Hashes = filepath.Join(g.storageDir, hashesName)
	}
	return pgfile.NewKeeper(o)
}
