package main

import (
	"path/filepath"

	"github.com/pushbridge/pushbridge/pgfile"
)

// hashesName is the file of the storage directory that tells Pushgateway's file as we
// wrote it from one that somebody else wrote.
const hashesName = "persistence.sha256"

// newKeeper keeps Pushgateway's file beside the state.
func (s *server) newKeeper() *pgfile.Keeper {
	o := pgfile.Options{
		File:     s.settings.persistenceFile,
		Interval: s.settings.persistenceInterval,
		Store:    s.gateway.State(),
		Import:   s.gateway.Import,
		Now:      s.now,
		Logger:   s.log.With("component", "persistence"),

		Registerer: s.registry,
	}
	if s.storageDir != "" {
		o.Hashes = filepath.Join(s.storageDir, hashesName)
	}
	return pgfile.NewKeeper(o)
}
