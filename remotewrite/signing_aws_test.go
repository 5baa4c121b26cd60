//go:build sigv4

package remotewrite

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/sigv4"
)

func signed(c *Config) {
	c.SigV4 = &SigV4Config{Region: "eu-west-1", AccessKey: "AKID", SecretKey: "secret"}
}

// TestSigV4HasPrometheusKeys holds the keys to those of Prometheus' own struct; that the
// fields are the same the compiler sees.
func TestSigV4HasPrometheusKeys(t *testing.T) {
	ours, theirs := reflect.TypeFor[SigV4Config](), reflect.TypeFor[sigv4.SigV4Config]()
	for i := range theirs.NumField() {
		if got, want := ours.Field(i).Tag, theirs.Field(i).Tag; got != want {
			t.Errorf("%s: tag %s, Prometheus has %s", ours.Field(i).Name, got, want)
		}
	}
}

func TestSigV4Signs(t *testing.T) {
	r := newRecorder(t, nil)
	c := configFor(t, r.URL)
	signed(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a := post(t, c, Protocol1, 0)
	if got := r.header.Get("Authorization"); !strings.HasPrefix(got, "AWS4-HMAC-SHA256 Credential=AKID/") {
		t.Errorf("%+v, Authorization %q", a, got)
	}
	if r.body != "body" {
		t.Errorf("body %q", r.body)
	}
}

func TestSigV4Refuses(t *testing.T) {
	for name, row := range map[string]struct{ section, want string }{
		"half a key": {"{access_key: a}", "SigV4 Access key and Secret Key"},
		"no role":    {"{region: r, external_id: e}", "external_id can only be used with role_arn"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig(t, "url: http://h\nsigv4: "+row.section)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestSigV4HidesItsSecret(t *testing.T) {
	checkHidden(t, "{url: http://there/, sigv4: {region: x, access_key: a, secret_key: HIDDEN}}")
}

// What TestWhatMayHaveLeft and TestRenewedConnections say holds behind a signature.
func TestSigV4Departures(t *testing.T) {
	resets := newRecorder(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, row := range []failedTry{
		{"refused", "http://" + closedAddress(t), signed, false, "refused"},
		{"reset", resets.URL, signed, true, "EOF"},
	} {
		t.Run(row.name, row.check)
	}
}

func TestSigV4RenewsConnections(t *testing.T) { checkRenewed(t, signed) }
