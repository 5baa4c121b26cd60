package remotewrite

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var m meter
	began := time.Unix(1_700_000_000, 0)
	books := func(s int) Books {
		b := Books{Accepted: uint64(1000 + 10*s), Pending: uint64(1000 - 30*s)} // 10 a second come, 40 go
		return b
	}
	for s := range 300 {
		m.note(began.Add(time.Duration(s)*time.Second), func() Books { return books(s % 30) })
	}
	if n := len(m.looks); n > int(meterFor/meterEvery)+2 {
		t.Errorf("%d looks are kept", n)
	}
	m = meter{}
	for s := range 20 {
		m.note(began.Add(time.Duration(s)*time.Second), func() Books { return books(s) })
	}
	in, out := m.rates(began.Add(20*time.Second), books(20))
	if in != 10 || out != 40 {
		t.Errorf("in %g, out %g", in, out)
	}
	for _, tt := range []struct {
		pending uint64
		in, out float64
		want    time.Duration
		ok      bool
	}{
		{0, 5, 0, 0, true},
		{300, 10, 40, 10 * time.Second, true},
		{300, 40, 40, 0, false},
		{300, 0, 0, 0, false},
		{1 << 60, 0, 1e-9, 0, false},
	} {
		if got, ok := catchUp(tt.pending, tt.in, tt.out); got != tt.want || ok != tt.ok {
			t.Errorf("%+v: got %s, %t", tt, got, ok)
		}
	}
}
