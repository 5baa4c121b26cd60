#!/bin/sh
# A key of a NATS key-value bucket can be created with a time to live, which looks like a lease. Update,
# the compare-and-swap that would renew it, takes no time to live, and the key that it leaves
# has none (nats-server 2.15.3, nats.go 1.55.0): the lease of a holder that died stays for ever.
. "$(dirname "$0")/lib.sh"
jetstream_server
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx := context.Background()
	s, nc, js := start()
	defer s.Shutdown()
	defer nc.Close()
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "K", LimitMarkerTTL: time.Minute})
	must(err)
	renewed, err := kv.Create(ctx, "renewed", nil, jetstream.KeyTTL(time.Second))
	must(err)
	_, err = kv.Update(ctx, "renewed", nil, renewed)
	must(err)
	_, err = kv.Create(ctx, "alone", nil, jetstream.KeyTTL(time.Second))
	must(err)
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if _, err = kv.Get(ctx, "alone"); errors.Is(err, jetstream.ErrKeyNotFound) {
			break
		} else if time.Since(begin) > time.Minute {
			panic("the key without an update has not ended")
		}
	}
	time.Sleep(3 * time.Second) // three times its time to live
	fmt.Println("alone:", said(err))
	_, err = kv.Get(ctx, "renewed")
	fmt.Println("renewed: still there:", err == nil)
}
GO
cat >want <<'WANT'
alone: nats: key not found
renewed: still there: true
WANT
gorun $nats_server $nats_client >got
same
