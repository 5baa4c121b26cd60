#!/bin/sh
# A durable consumer of a stream that discards its oldest messages goes on at the first one that is
# left (nats-server 2.15.3, nats.go 1.55.0): no error, and the consumer's own sequence has no hole. So
# has an ordered consumer that is told to begin at a message that is gone. Only who compares
# stream sequences sees the loss.
. "$(dirname "$0")/lib.sh"
jetstream_server
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx := context.Background()
	s, nc, js := start()
	defer s.Shutdown()
	defer nc.Close()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxMsgs: 10})
	must(err)
	publish := func(n int) {
		for range n {
			_, err := js.Publish(ctx, "s", nil)
			must(err)
		}
	}
	publish(5)
	durable, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy})
	must(err)
	next := func(who string, c jetstream.Consumer) {
		m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
		must(err)
		md, err := m.Metadata()
		must(err)
		fmt.Printf("%s: message %d of the stream, %d of the consumer\n", who, md.Sequence.Stream, md.Sequence.Consumer)
		if who == "durable" {
			must(m.DoubleAck(ctx))
		}
	}
	next("durable", durable)
	next("durable", durable)
	publish(20)
	next("durable", durable)
	ordered, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 3})
	must(err)
	next("ordered, from 3", ordered)
}
GO
cat >want <<'WANT'
durable: message 1 of the stream, 1 of the consumer
durable: message 2 of the stream, 2 of the consumer
durable: message 16 of the stream, 3 of the consumer
ordered, from 3: message 16 of the stream, 1 of the consumer
WANT
gorun $nats_server $nats_client >got
same
