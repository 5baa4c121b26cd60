package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/remotewrite"
)

func TestTraits(t *testing.T) {
	text := `
remote_write:
  - {name: both, url: http://a/}
  - {name: plain, url: http://b/}
  - {name: alone, url: http://c/}
  - {name: none, url: http://d/}
  - {name: drops, url: http://e/}
  - {name: holds, url: http://f/}
pushbridge:
  destinations:
    - {name: both, metric_name_escaping_scheme: dots, always_send_classic_histograms: true}
    - {name: plain, metric_name_escaping_scheme: allow-utf-8}
    - {name: alone, always_send_classic_histograms: false}
    - {name: none, leave_out_native_histograms: true}
    - {name: drops, on_misconfiguration: drop}
    - {name: holds, on_misconfiguration: hold}
`
	var c Config
	if err := c.parse([]byte(text), "."); err != nil {
		t.Fatal(err)
	}
	want := map[string]remotewrite.Traits{
		"both":  {Escaping: model.DotsEscaping, Natives: remotewrite.NativesBeside},
		"plain": {},
		"alone": {Natives: remotewrite.NativesAlone},
		"none":  {Natives: remotewrite.NativesNever},
		"drops": {DropRejected: true},
		"holds": {},
	}
	if diff := cmp.Diff(want, c.Traits); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
