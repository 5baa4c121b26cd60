//go:build !sigv4

package remotewrite

import (
	"errors"
	"strings"
	"testing"
)

// TestSigV4IsRefused: whatever the section says, the answer is how to get what signs.
func TestSigV4IsRefused(t *testing.T) {
	for _, section := range []string{"{}", "{region: r}", "{access_key: a}", "{region: r, role_arn: a, tags: {b: c}, use_fips_sts_endpoint: true}"} {
		_, err := parseConfig(t, "url: http://h\nsigv4: "+section)
		if !errors.Is(err, errNoSigning) || !strings.HasPrefix(err.Error(), "sigv4: ") {
			t.Errorf("%s: got %v", section, err)
		}
	}
}

// TestNothingLeavesUnsigned passes the validation by.
func TestNothingLeavesUnsigned(t *testing.T) {
	r := newRecorder(t, nil)
	c := configFor(t, r.URL)
	c.SigV4 = &SigV4Config{Region: "r"}
	if a := post(t, c, Protocol1, 0); !errors.Is(a.err, errNoSigning) || a.left || r.header != nil {
		t.Errorf("answer %+v, sent with %v", a, r.header)
	}
}
