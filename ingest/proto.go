package ingest

import (
	"encoding/binary"
	"mime"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// isProtobuf follows Pushgateway: this media type with exactly these two
// parameters is delimited protobuf, and everything else is text.
func isProtobuf(r *http.Request) bool {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == "application/vnd.google.protobuf" &&
		params["proto"] == "io.prometheus.client.MetricFamily" && params["encoding"] == "delimited"
}

// parseProto parses length-delimited metric families in the order they came.
// Of families with the same name only the last one counts.
func parseProto(b []byte, maxDecoded int64) ([]*dto.MetricFamily, error) {
	var families []*dto.MetricFamily
	at := map[string]int{}
	for n := 1; len(b) > 0; n++ {
		msg, rest, err := nextMessage(b, n, maxDecoded)
		if err != nil {
			return nil, err
		}
		b = rest
		mf := &dto.MetricFamily{}
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(msg, mf); err != nil {
			return nil, bodyErrorf("protobuf body: message %d is no metric family: %w", n, err)
		}
		if i, again := at[mf.GetName()]; again {
			families[i] = mf
			continue
		}
		at[mf.GetName()] = len(families)
		families = append(families, mf)
	}
	return families, nil
}

// nextMessage cuts message number n off b. Its length prefix is believed only as
// far as b goes.
func nextMessage(b []byte, n int, maxDecoded int64) (msg, rest []byte, err error) {
	size, used := binary.Uvarint(b)
	switch {
	case used == 0:
		return nil, nil, bodyErrorf("protobuf body: it ends within the length of message %d", n)
	case used < 0:
		return nil, nil, bodyErrorf("protobuf body: the length of message %d is no varint of 64 bits", n)
	case size > uint64(maxDecoded):
		return nil, nil, &TooLargeError{What: "length of a protobuf message in the body", Limit: maxDecoded, Flag: FlagMaxDecodedBytes}
	case size > uint64(len(b)-used):
		return nil, nil, bodyErrorf("protobuf body: message %d announces %d bytes, %d are left", n, size, len(b)-used)
	}
	end := used + int(size)
	return b[used:end], b[end:], nil
}

const (
	// An empty message is two bytes in the body and becomes a struct, a pointer
	// to it, and a share of what is built from it.
	protoMessageCost = 192
	protoFamilyCost  = 384
	// So that no body of this size needs to be looked at before it is parsed.
	protoUnread = 32 << 10
)

// protoCost estimates the memory that parsing b takes, as a bound for small
// bodies and by counting messages for others.
func protoCost(b []byte) int64 {
	if len(b) <= protoUnread {
		return int64(len(b)) * protoMessageCost / 2
	}
	var cost int64
	family := (&dto.MetricFamily{}).ProtoReflect().Descriptor()
	for len(b) > 0 {
		msg, n := protowire.ConsumeBytes(b)
		if n < 0 {
			break // nextMessage says what is wrong
		}
		cost += protoFamilyCost + messageCost(msg, family)
		b = b[n:]
	}
	return cost
}

// messageCost counts what a message of type d becomes: itself aside, its
// strings, its numbers, and its messages.
func messageCost(b []byte, d protoreflect.MessageDescriptor) int64 {
	var cost int64
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			break
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(num, typ, b)
		if n < 0 {
			break
		}
		cost += fieldCost(b[:n], typ, d.Fields().ByNumber(num))
		b = b[n:]
	}
	return cost
}

func fieldCost(b []byte, typ protowire.Type, f protoreflect.FieldDescriptor) int64 {
	const number, header = 16, 40
	switch {
	case f == nil:
		return 0 // unknown fields are thrown away
	case typ != protowire.BytesType:
		return number
	case f.Message() != nil:
		msg, _ := protowire.ConsumeBytes(b)
		return protoMessageCost + messageCost(msg, f.Message())
	case f.Kind() == protoreflect.StringKind:
		return header + int64(len(b))
	}
	return number * int64(len(b)) // packed numbers, a byte each at least
}
