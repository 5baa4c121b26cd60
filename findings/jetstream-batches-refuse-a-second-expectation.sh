#!/bin/sh
# In an atomic batch (nats-server 2.15.3) two messages of one subject cannot both say what they expect
# to be last, whatever they say: the whole batch is refused with 10164 "wrong last sequence", without
# the number that 10071 has. The expectation on the first alone is taken, and guards both.
. "$(dirname "$0")/lib.sh"
jetstream_server
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx := context.Background()
	s, nc, js := start()
	defer s.Shutdown()
	defer nc.Close()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, AllowAtomicPublish: true})
	must(err)
	for i, expected := range [][2]string{{"0", "1"}, {"0", "0"}, {"0", ""}, {"0", ""}} {
		fmt.Printf("expecting %q and %q: %s\n", expected[0], expected[1], batch(nc, strconv.Itoa(i), expected))
	}
}

// batch publishes two messages of a subject as one.
func batch(nc *nats.Conn, id string, expected [2]string) string {
	for i, e := range expected {
		m := nats.NewMsg("s")
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if e != "" {
			m.Header.Set("Nats-Expected-Last-Subject-Sequence", e)
		}
		if i == 1 {
			m.Header.Set("Nats-Batch-Commit", "1")
		}
		answer, err := nc.RequestMsg(m, 20*time.Second)
		must(err)
		if len(answer.Data) > 0 {
			return string(answer.Data)
		}
	}
	return "no answer"
}
GO
cat >want <<'WANT'
expecting "0" and "1": {"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"S","seq":0}
expecting "0" and "0": {"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"S","seq":0}
expecting "0" and "": {"stream":"S","seq":2,"batch":"2","count":2}
expecting "0" and "": {"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"},"stream":"S","seq":0}
WANT
gorun $nats_server $nats_client >got
same
