#!/bin/sh
# "Expected last sequence per subject" looks like a compare-and-swap for each subject. When retention
# or a purge removes a subject's only message, the subject counts as never written (nats-server
# 2.15.3): the true sequence is refused, and the expectation 0, "I am the first", is accepted.
# So with max_msgs, max_age or a purge it is no fence for a subject.
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
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, MaxMsgs: 1})
	must(err)
	for _, subject := range []string{"s.a", "s.b"} { // the second removes the first
		ack, err := js.Publish(ctx, subject, nil)
		must(err)
		fmt.Println(subject, "is at", ack.Sequence)
	}
	for _, expected := range []uint64{1, 0} {
		_, err := js.Publish(ctx, "s.a", nil, jetstream.WithExpectLastSequencePerSubject(expected))
		fmt.Printf("s.a, expecting %d: %s\n", expected, said(err))
	}
}
GO
cat >want <<'WANT'
s.a is at 1
s.b is at 2
s.a, expecting 1: 400/10071 wrong last sequence: 0
s.a, expecting 0: taken
WANT
gorun $nats_server $nats_client >got
same
