package jetstream_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// operator signs accounts, as the servers that know it have them.
type operator struct {
	t    *testing.T
	pair nkeys.KeyPair
	text string // its own token
}

func keys(t *testing.T, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := create()
	if err == nil {
		public, err = pair.PublicKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return pair, public
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	pair, public := keys(t, nkeys.CreateOperator)
	return &operator{t: t, pair: pair, text: signed(t, jwt.NewOperatorClaims(public), pair)}
}

func signed(t *testing.T, c jwt.Claims, by nkeys.KeyPair) string {
	t.Helper()
	text, err := c.Encode(by)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// tenant is an account, with its token.
type tenant struct {
	pair         nkeys.KeyPair
	public, text string
}

// tenant makes an account that may have streams, or may not.
func (o *operator) tenant(streams bool) tenant {
	o.t.Helper()
	pair, public := keys(o.t, nkeys.CreateAccount)
	c := jwt.NewAccountClaims(public)
	if streams {
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{
			MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
		}
	}
	return tenant{pair, public, signed(o.t, c, o.pair)}
}

// credentials returns the file of a user of the account.
func (a *tenant) credentials(t *testing.T, name string) string {
	t.Helper()
	pair, public := keys(t, nkeys.CreateUser)
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file, err := jwt.FormatUserConfig(signed(t, jwt.NewUserClaims(public), a.pair), seed)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), name+".creds"), file)
}

// TestCredentials keeps the log on servers that know users by what an operator has signed, and
// says what is wrong with other files.
func TestCredentials(t *testing.T) {
	o := newOperator(t)
	system, ours, without, strange := o.tenant(false), o.tenant(true), o.tenant(false), newOperator(t).tenant(true)
	creds := ours.credentials(t, "ours")
	c := newClusterWith(t, access{
		config: fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s, %s: %s }\n",
			o.text, system.public, system.public, system.text, ours.public, ours.text, without.public, without.text),
		client: []nats.Option{nats.UserCredentials(creds)},
	})
	by := func(file string) *gateway {
		g := c.newGateway("a", "--replica.id=a", "--storage.nats-stream=gateway", "--storage.nats-creds="+file)
		for _, u := range c.urls() {
			g.args = append(g.args, "--storage.nats-url="+u)
		}
		return g
	}
	for _, row := range []struct{ name, file, want string }{
		{"an account of another operator", strange.credentials(t, "strange"), "give one by --storage.nats-creds, --storage.nats-nkey, or with a password in --storage.nats-url"},
		{"an account that may have no streams", without.credentials(t, "without"), "JetStream is not enabled for this server or account"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := by(row.file)
			g.t = t
			g.refused(row.want)
		})
	}
	for i, file := range []string{creds, ours.credentials(t, "another user of the account")} {
		g := by(file)
		g.start()
		eventually(t, "ready", g.ready)
		if i > 0 && g.metric(`pushed{instance="",job="by-token"}`) != 1 {
			t.Error("what was pushed before is not there")
		}
		g.pushID("by-token")
		g.stop()
	}
}
