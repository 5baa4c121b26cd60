package remotewrite

import (
	"strings"
	"testing"
)

// TestSettingsHaveNoSecrets gives every way to authenticate a secret, and looks for it.
func TestSettingsHaveNoSecrets(t *testing.T) {
	for name, section := range map[string]string{
		"url":         "url: http://me:HIDDEN@there/push?token=HIDDEN",
		"password":    "{url: http://there/, basic_auth: {username: me, password: HIDDEN}}",
		"credentials": "{url: http://there/, authorization: {credentials: HIDDEN}}",
		"oauth2":      `{url: http://there/, oauth2: {client_id: HIDDEN, client_secret: HIDDEN, token_url: "http://t/?key=HIDDEN", endpoint_params: {password: HIDDEN}}}`,
		"headers":     "{url: http://there/, headers: {X-Token: HIDDEN}}",
		"http":        "{url: http://there/, http_headers: {X-Token: {secrets: [HIDDEN]}}}",
		"proxy":       "{url: http://there/, proxy_url: http://me:HIDDEN@proxy/}",
	} {
		t.Run(name, func(t *testing.T) { checkHidden(t, section) })
	}
}

func checkHidden(t *testing.T, section string) {
	t.Helper()
	c, err := parseConfig(t, section)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Settings()
	if err != nil || strings.Contains(text, "HIDDEN") || !strings.Contains(text, "url: http://") || !strings.Contains(text, "max_samples_per_send: 2000") {
		t.Errorf("%v\n%s", err, text)
	}
}
