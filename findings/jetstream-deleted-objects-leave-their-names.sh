#!/bin/sh
# Deleting an object of a NATS object store frees its bytes, but leaves one message for its name for ever
# (nats-server 2.15.3, nats.go 1.55.0): a store in which every object has a new name, as backups and snapshots
# do, grows without a bound while it says that it is empty.
. "$(dirname "$0")/lib.sh"
jetstream_server
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx := context.Background()
	s, nc, js := start()
	defer s.Shutdown()
	defer nc.Close()
	store, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "B"})
	must(err)
	for i := range 100 {
		name := fmt.Sprint("snapshot-", i)
		_, err := store.PutBytes(ctx, name, make([]byte, 1000))
		must(err)
		must(store.Delete(ctx, name))
	}
	_, err = store.List(ctx)
	fmt.Println("no object is left:", errors.Is(err, jetstream.ErrNoObjectsFound))
	stream, err := js.Stream(ctx, "OBJ_B")
	must(err)
	fmt.Println("messages:", stream.CachedInfo().State.Msgs)
	must(stream.Purge(ctx, jetstream.WithPurgeSubject("$O.B.M.>")))
	info, err := stream.Info(ctx)
	must(err)
	fmt.Println("after a purge of the names:", info.State.Msgs)
}
GO
cat >want <<'WANT'
no object is left: true
messages: 100
after a purge of the names: 0
WANT
gorun $nats_server $nats_client >got
same
