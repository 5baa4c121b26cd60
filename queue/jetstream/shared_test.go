package jetstream

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPiecesStayAsTheyAre: several readers put pieces together that share memory: none of
// them writes into what the others read.
func TestPiecesStayAsTheyAre(t *testing.T) {
	body := make([]byte, maxPiece+100)
	chacha := rand.NewChaCha8([32]byte{})
	if _, err := chacha.Read(body); err != nil {
		t.Fatal(err)
	}
	all := messages(header{nonce: 1, first: 1, checkpoint: 1}, body)
	if len(all) != 2 {
		t.Fatalf("%d messages, want 2", len(all))
	}
	room := make([]byte, len(all[0])+1000)
	copy(room, all[0])
	var a assembly
	if _, err := a.add(message{1, room[:len(all[0])]}); err != nil {
		t.Fatal(err)
	}
	b, err := a.add(message{2, all[1]})
	if err != nil || b == nil || !bytes.Equal(b.body, body) {
		t.Fatalf("a batch of two pieces is not what was cut: %v", err)
	}
	if !bytes.Equal(room[len(all[0]):], make([]byte, 1000)) {
		t.Error("the second piece was written behind the first one, in memory that others read")
	}
}

// TestDamagedIsAskedForAgain: a message that came damaged is not kept for readers: they ask the
// servers for it.
func TestDamagedIsAskedForAgain(t *testing.T) {
	v := newView()
	for seq := range uint64(3) {
		data := messages(header{nonce: 1, first: 1, checkpoint: seq}, nil)[0]
		if seq == 1 {
			data[crcAt]++
		}
		if err := v.fold(message{seq + 1, data}); err != nil {
			t.Fatal(err)
		}
	}
	for seq, want := range []int{0, 0, 1} { // what is in front of a gap is not kept either
		if got := v.recentFrom(uint64(seq) + 1); len(got) != want {
			t.Errorf("from message %d on %d are kept, want %d", seq+1, len(got), want)
		}
	}
}
