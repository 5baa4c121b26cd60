#!/bin/sh
# nats-server 2.15.3 starts with max_payload of 64 MiB and its client sends such messages, but a stream
# stores none of 32 MiB or more, and no setting moves that. The error comes at the publish, as
# 503, a code that is worth a retry elsewhere.
. "$(dirname "$0")/lib.sh"
jetstream_server
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx := context.Background()
	s, nc, js := start()
	defer s.Shutdown()
	defer nc.Close()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	must(err)
	fmt.Println("max_payload:", nc.MaxPayload()/MiB, "MiB")
	for _, size := range []int{32*MiB - 4096, 32 * MiB} {
		_, err := js.Publish(ctx, "s", make([]byte, size))
		fmt.Printf("%d bytes: %s\n", size, said(err))
	}
}
GO
cat >want <<'WANT'
max_payload: 64 MiB
33550336 bytes: taken
33554432 bytes: 503/10077 message too large
WANT
gorun $nats_server $nats_client >got
same
