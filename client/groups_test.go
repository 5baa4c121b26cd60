package client

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestGroups(t *testing.T) {
	_, c := newGateway(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"success","data":[{"labels":{"job":"j"},"last_push_successful":true,"expires":"2026-01-01T00:00:00Z",
"push_time_seconds":{"time_stamp":"2026-01-01T00:00:00Z","type":"GAUGE","metrics":[{"labels":{"instance":"","job":"j"},"value":"1"}]},
"g":{"type":"GAUGE","help":"h","metrics":[{"labels":{"instance":"","job":"j","x":"y"},"value":"+Inf"}]},
"s":{"type":"SUMMARY","metrics":[{"labels":{"instance":"i","job":"j"},"count":"3","sum":"2","quantiles":{"0.9":"NaN","0.5":"1"}}]},
"n":{"type":"HISTOGRAM","metrics":[{"labels":{"instance":"","job":"j"},"count":"3","sum":"2","buckets":{"(1,2]":"3"}}]},
"h":{"type":"HISTOGRAM","metrics":[{"labels":{"instance":"","job":"j"},"count":"3","sum":"2","buckets":{"+Inf":"3","1e-05":"1"}}]}}]}`))
	})
	got, err := c.Groups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Group{{Labels: map[string]string{"job": "j"}, Families: []*dto.MetricFamily{
		parse(t, `name:"g" help:"h" type:GAUGE metric:{label:{name:"x" value:"y"} gauge:{value:inf}}`),
		parse(t, `name:"h" type:HISTOGRAM metric:{histogram:{sample_count:3 sample_sum:2
			bucket:{cumulative_count:1 upper_bound:1e-05} bucket:{cumulative_count:3 upper_bound:inf}}}`),
		parse(t, `name:"n" type:HISTOGRAM metric:{histogram:{sample_count:3 sample_sum:2}}`),
		parse(t, `name:"s" type:SUMMARY metric:{label:{name:"instance" value:"i"} summary:{sample_count:3 sample_sum:2
			quantile:{quantile:0.5 value:1} quantile:{quantile:0.9 value:nan}}}`),
	}, Native: map[string]bool{"n": true}}}
	if diff := cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func parse(t *testing.T, text string) *dto.MetricFamily {
	t.Helper()
	mf := &dto.MetricFamily{}
	if err := prototext.Unmarshal([]byte(text), mf); err != nil {
		t.Fatal(err)
	}
	return mf
}
