package main

import "github.com/pushbridge/pushbridge/pgfile"

// newKeeper keeps Pushgateway's file beside the state.
func (s *server) newKeeper() *pgfile.Keeper {
	return pgfile.NewKeeper(pgfile.Options{
		File:     s.settings.persistenceFile,
		Interval: s.settings.persistenceInterval,
		Store:    s.gateway.State(),
		Import:   s.gateway.Import,
		Hashes:   s.beside(hashesName),
		Now:      s.now,
		Logger:   s.log.With("component", "persistence"),

		Registerer: s.registry,
	})
}
