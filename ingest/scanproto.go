package ingest

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoScanner takes delimited protobuf apart: every field but those that hold a value,
// and where each message ends. Lengths are left out, since they follow the values.
type protoScanner struct{}

// protoMessage is what the scanner knows of a message, by number: the fields that clients
// send when they push plain metrics. A body with any other goes the long way.
type protoMessage [16]*protoField

// field returns nil when the scanner does not know it.
func (m *protoMessage) field(num protowire.Number) *protoField {
	if num < 0 || int(num) >= len(m) {
		return nil
	}
	return m[num]
}

// protoField is one field: a value, a message, or, with neither, a part of the
// skeleton.
type protoField struct {
	typ     protowire.Type
	value   bool
	message *protoMessage
}

var (
	fixedValue  = protoField{typ: protowire.Fixed64Type, value: true}
	varintValue = protoField{typ: protowire.VarintType, value: true}
	fixedKept   = protoField{typ: protowire.Fixed64Type}
	varintKept  = protoField{typ: protowire.VarintType}
	bytesKept   = protoField{typ: protowire.BytesType}
)

// The messages of io.prometheus.client. They are data: nothing makes them at the start.
var (
	protoFamily = protoMessage{1: &bytesKept, 2: &bytesKept, 3: &varintKept, 4: &protoField{protowire.BytesType, false, &protoMetric}, 5: &bytesKept}
	protoMetric = protoMessage{
		1: &bytesKept,                                                                               // label
		2: &protoField{protowire.BytesType, false, &protoMessage{1: &fixedValue}},                   // gauge
		3: &protoField{protowire.BytesType, false, &protoMessage{1: &fixedValue, 3: &protoCreated}}, // counter
		4: &protoField{protowire.BytesType, false, &protoMessage{1: &varintValue, 2: &fixedValue, // summary
			3: &protoField{protowire.BytesType, false, &protoMessage{1: &fixedKept, 2: &fixedValue}}, 4: &protoCreated}},
		5: &protoField{protowire.BytesType, false, &protoMessage{1: &fixedValue}}, // untyped
		7: &protoField{protowire.BytesType, false, &protoMessage{1: &varintValue, 2: &fixedValue, // histogram
			3: &protoField{protowire.BytesType, false, &protoMessage{1: &varintValue, 2: &fixedKept}}, 15: &protoCreated}},
	}
	protoCreated = protoField{protowire.BytesType, false, &protoMessage{1: &varintValue, 2: &varintValue}}
)

// staleMarker are the bits that the full parser turns into an ordinary NaN.
const staleMarker = 0x7ff0000000000002

// endOfMessage stands behind the fields of a message in a skeleton, where no tag can
// be 0.
const endOfMessage = 0

func (protoScanner) scan(s *takenApart, body []byte) bool {
	s.reset(byProto)
	for len(body) > 0 {
		msg, n := protowire.ConsumeBytes(body)
		if n < 0 || !s.message(msg, &protoFamily) {
			return false
		}
		body = body[n:]
	}
	return true
}

// message takes one message apart.
func (s *takenApart) message(b []byte, fields *protoMessage) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		f := fields.field(num)
		if f == nil || f.typ != typ {
			return false
		}
		s.skeleton = protowire.AppendTag(s.skeleton, num, typ)
		b = b[n:]
		if n = s.field(b, f); n < 0 {
			return false
		}
		b = b[n:]
	}
	s.skeleton = append(s.skeleton, endOfMessage)
	return true
}

// field takes the content of a field apart, and returns how long it is; negative when
// that cannot be told, or is not for us.
func (s *takenApart) field(b []byte, f *protoField) int {
	switch {
	case f.message != nil:
		msg, n := protowire.ConsumeBytes(b)
		if n < 0 || !s.message(msg, f.message) {
			return -1
		}
		return n
	case f.value && f.typ == protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(b)
		if n < 0 || v == staleMarker {
			return -1
		}
		s.add(v, false)
		return n
	case f.value:
		v, n := protowire.ConsumeVarint(b)
		s.add(v, true)
		return n
	}
	n := protowire.ConsumeFieldValue(1, f.typ, b)
	if n > 0 {
		s.skeleton = append(s.skeleton, b[:n]...)
	}
	return n
}

func (protoScanner) probe(_ *takenApart, body []byte) []byte {
	var out []byte
	next := uint64(probeBase)
	for len(body) > 0 {
		msg, n := protowire.ConsumeBytes(body)
		body = body[n:]
		out = protowire.AppendBytes(out, probeMessage(msg, &protoFamily, &next))
	}
	return out
}

// probeMessage returns the message with numbers from next on as its values.
func probeMessage(b []byte, fields *protoMessage, next *uint64) []byte {
	var out []byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		b = b[n:]
		f := fields.field(num)
		out = protowire.AppendTag(out, num, typ)
		n = protowire.ConsumeFieldValue(num, typ, b)
		switch content := b[:n]; {
		case f.message != nil:
			msg, _ := protowire.ConsumeBytes(content)
			out = protowire.AppendBytes(out, probeMessage(msg, f.message, next))
		case f.value && typ == protowire.Fixed64Type:
			out = protowire.AppendFixed64(out, math.Float64bits(float64(*next)))
			*next++
		case f.value:
			out = protowire.AppendVarint(out, *next)
			*next++
		default:
			out = append(out, content...)
		}
		b = b[n:]
	}
	return out
}
