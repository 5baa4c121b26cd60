package jetstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key, a.file, _ = a.issue(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue signs a certificate and writes it and its key to files.
func (a *authority) issue(name string, c *x509.Certificate) (cert *x509.Certificate, key *ecdsa.PrivateKey, certFile, keyFile string) {
	a.t.Helper()
	c.Subject = pkix.Name{CommonName: name}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, a.write(name+".crt", "CERTIFICATE", der), a.write(name+".key", "EC PRIVATE KEY", private)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	return write(a.t, filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newUser returns the name of a user with a key, and the file with its seed.
func newUser(t *testing.T, name string) (public, file string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return public, write(t, filepath.Join(t.TempDir(), name), seed)
}

// TestSecured keeps the log on servers that ask for a certificate and a user, and says which
// option is wrong otherwise.
func TestSecured(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	server := &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	_, _, serverCert, serverKey := ours.issue("server", server)
	client := func() *x509.Certificate {
		return &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	}
	_, _, cert, key := ours.issue("client", client())
	_, _, strangeCert, strangeKey := others.issue("client", client())
	user, seed := newUser(t, "seed")
	_, strangeSeed := newUser(t, "strange")

	c := newClusterWith(t, access{
		config: fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\n"+
			"authorization { users: [ { user: bridge, password: secret }, { nkey: %s } ] }\n", serverCert, serverKey, ours.file, user),
		client: []nats.Option{nats.RootCAs(ours.file), nats.ClientCert(cert, key), nats.UserInfo("bridge", "secret")},
	})
	secured := func(flags ...string) *gateway {
		g := c.newGateway("a", append(flags, "--replica.id=a", "--storage.nats-stream=gateway")...)
		for _, u := range c.urls() {
			g.args = append(g.args, "--storage.nats-url="+u)
		}
		return g
	}
	ca, own, nkey := "--storage.nats-tlsca="+ours.file, []string{"--storage.nats-tlscert=" + cert, "--storage.nats-tlskey=" + key}, "--storage.nats-nkey="+seed
	for _, row := range []struct {
		name, want string
		flags      []string
	}{
		{"no authority", "--storage.nats-tlsca must have the authority of the servers' certificates", append(own, nkey)},
		{"another authority", "--storage.nats-tlsca must have the authority of the servers' certificates", append(own, nkey, "--storage.nats-tlsca="+others.file)},
		{"a file that is not there", "--storage.nats-tlsca: stat /nowhere: no such file", append(own, nkey, "--storage.nats-tlsca=/nowhere")},
		{"no certificate", "--storage.nats-tlscert and --storage.nats-tlskey must be a certificate that the servers ask for", []string{ca, nkey}},
		{
			"somebody else's certificate", "--storage.nats-tlscert and --storage.nats-tlskey must be a certificate that the servers ask for",
			[]string{ca, nkey, "--storage.nats-tlscert=" + strangeCert, "--storage.nats-tlskey=" + strangeKey},
		},
		{"no user", "give one by --storage.nats-creds, --storage.nats-nkey, or with a password in --storage.nats-url", append(own, ca)},
		{"somebody else's user", "give one by --storage.nats-creds, --storage.nats-nkey, or with a password in --storage.nats-url", append(own, ca, "--storage.nats-nkey="+strangeSeed)},
		{"no seed", "--storage.nats-nkey: stat /nowhere: no such file", append(own, ca, "--storage.nats-nkey=/nowhere")},
		{"no credentials", "--storage.nats-creds: stat /nowhere: no such file", append(own, ca, "--storage.nats-creds=/nowhere")},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := secured(row.flags...)
			g.t = t
			g.refused(row.want)
		})
	}
	g := secured(append(own, ca, nkey)...)
	g.start()
	eventually(t, "ready", g.ready)
	g.pushID("by-key")
	g.stop()
	byPassword := c.newGateway("a", append(own, ca, "--replica.id=a", "--storage.nats-stream=gateway")...)
	for _, s := range c.servers {
		byPassword.args = append(byPassword.args, "--storage.nats-url=tls://bridge:secret@"+s.url[len("nats://"):])
	}
	byPassword.start()
	eventually(t, "ready with a password", byPassword.ready)
	if byPassword.metric(`pushed{instance="",job="by-key"}`) != 1 {
		t.Error("what was pushed before is not there")
	}
}
