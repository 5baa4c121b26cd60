#!/bin/sh
# Each SubscribeSync of nats.go 1.55.0 allocates half a MiB, for a queue of 65,536 messages, whatever comes:
# whoever subscribes for each answer keeps the garbage collector busy. It is an option of the
# connection, SyncQueueLen, and no limit of the subscription (SetPendingLimits) that makes it
# less. A request with a reply goes by one subscription for all, and costs hundreds of bytes.
. "$(dirname "$0")/lib.sh"
jetstream_server
cat >main.go <<'GO'
package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	s, nc, _ := start()
	defer s.Shutdown()
	defer nc.Close()
	short, err := nats.Connect(s.ClientURL(), nats.SyncQueueLen(64))
	must(err)
	defer short.Close()
	subscribe := func(nc *nats.Conn, limit int) func() {
		return func() {
			sub, err := nc.SubscribeSync(nc.NewRespInbox())
			must(err)
			if limit > 0 {
				must(sub.SetPendingLimits(limit, -1))
			}
			must(sub.Unsubscribe())
		}
	}
	_, err = nc.Subscribe("echo", func(m *nats.Msg) { must(m.Respond(m.Data)) })
	must(err)
	for _, way := range []struct {
		name string
		do   func()
	}{
		{"SubscribeSync", subscribe(nc, 0)},
		{"SubscribeSync, pending limit of 64", subscribe(nc, 64)},
		{"SubscribeSync, SyncQueueLen of 64", subscribe(short, 0)},
		{"Request", func() {
			_, err := nc.Request("echo", nil, 5*time.Second)
			must(err)
		}},
	} {
		fmt.Printf("%s: %s\n", way.name, size(allocated(way.do)))
	}
}

// allocated returns how many bytes do takes, on average.
func allocated(do func()) uint64 {
	const times = 200
	do()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		do()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / times
}

func size(n uint64) string {
	switch {
	case n > 512<<10 && n < 576<<10:
		return "512 KiB and a bit"
	case n < 8<<10:
		return "less than 8 KiB"
	}
	return fmt.Sprintf("%d bytes", n)
}
GO
cat >want <<'WANT'
SubscribeSync: 512 KiB and a bit
SubscribeSync, pending limit of 64: 512 KiB and a bit
SubscribeSync, SyncQueueLen of 64: less than 8 KiB
Request: less than 8 KiB
WANT
gorun $nats_server $nats_client >got
same
