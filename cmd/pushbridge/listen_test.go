package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes certificates for tests.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), pool: x509.NewCertPool()}
	a.cert, a.key = a.issue(t, "ca", &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.pool.AddCert(a.cert)
	return a
}

// issue writes NAME.crt and NAME.key.
func (a *authority) issue(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(1), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name+".crt", "CERTIFICATE", der)
	a.write(t, name+".key", "EC PRIVATE KEY", keyDER)
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(a.dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// client trusts a, and shows the certificate of that name when there is one.
func (a *authority) client(t *testing.T, name string) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: a.pool}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// runGateway runs a gateway until the test ends, and returns its addresses.
func runGateway(t *testing.T, args ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "addresses")
	s, err := readArgs(t, append(args, "--storage.path=", "--web.listen-address-file="+file)...)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newServer(t.Context(), s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the gateway ended: %v", err)
		}
	})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// ask returns the status of an answer, or 0 and the error.
func ask(t *testing.T, c *http.Client, method, url, body, user string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if name, password, ok := strings.Cut(user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, err
}

// TestWebConfig pushes and looks through what --web.config.file asks for, on two
// listeners.
func TestWebConfig(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	a.issue(t, "client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	const (
		encrypted = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
		mutual    = encrypted + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
		// The password is "secret".
		password = "basic_auth_users:\n  alice: $2a$04$hV5uqKbrGNx5FALOzTQvCuBneJaEgnCDZbw4WcsEKmMWX95xHWfT2\n"
	)
	for _, c := range []struct {
		name, config, scheme, cert, user string
		want                             int // 0: no answer
	}{
		{"none", "", "http", "", "", 200},
		{"TLS", encrypted, "https", "", "", 200},
		{"TLS, and a client without", encrypted, "http", "", "", 400},
		{"client certificate", mutual, "https", "client", "", 200},
		{"no client certificate", mutual, "https", "", "", 0},
		{"client certificate of the wrong kind", mutual, "https", "server", "", 0},
		{"password", password, "http", "", "alice:secret", 200},
		{"wrong password", password, "http", "", "alice:other", 401},
		{"wrong user", password, "http", "", "bob:secret", 401},
		{"no password", password, "http", "", "", 401},
		{"password and client certificate", mutual + password, "https", "client", "alice:secret", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(a.dir, "web.yml")
			if err := os.WriteFile(file, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			addresses := runGateway(t, "--web.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.1:0", "--web.config.file="+file)
			if len(addresses) != 2 {
				t.Fatalf("%d addresses", len(addresses))
			}
			client := a.client(t, c.cert)
			for i, address := range addresses {
				url := c.scheme + "://" + address
				if got, err := ask(t, client, http.MethodPut, fmt.Sprintf("%s/metrics/job/a/i/%d", url, i), "m 1\n", c.user); got != c.want {
					t.Errorf("PUT: %d %v, want %d", got, err, c.want)
				}
				if got, err := ask(t, client, http.MethodGet, url+"/-/healthy", "", c.user); got != c.want {
					t.Errorf("GET: %d %v, want %d", got, err, c.want)
				}
			}
		})
	}
}

// TestHealthWithoutAuth asks as a probe does, which has no password, and as somebody
// who tries what else is open.
func TestHealthWithoutAuth(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	config := "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\nbasic_auth_users:\n" +
		"  alice: $2a$04$hV5uqKbrGNx5FALOzTQvCuBneJaEgnCDZbw4WcsEKmMWX95xHWfT2\n" // of the password "secret"
	file := filepath.Join(a.dir, "web.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	client := a.client(t, "")
	url := "https://" + runGateway(t, "--web.listen-address=127.0.0.1:0", "--web.config.file="+file,
		"--web.route-prefix=/p", "--web.enable-lifecycle", "--web.health-without-auth")[0]
	f := func(method, path, user string, want int) {
		t.Helper()
		if got, err := ask(t, client, method, url+path, "", user); got != want {
			t.Errorf("%s %s %s: %d %v, want %d", method, path, user, got, err, want)
		}
	}
	f("GET", "/p/-/healthy", "", 200)
	f("GET", "/p/-/ready", "", 200)
	f("HEAD", "/p/-/ready", "", 401)
	f("GET", "/p/-/ready", "alice:wrong", 200)
	f("POST", "/p/-/healthy", "", 401)
	for _, path := range []string{"/-/healthy", "/p/-/healthy/", "/p/-/reload", "/p/-/healthy/../../metrics", "/p//-/healthy", "/p/metrics", "/p/", "/p/-/Healthy"} {
		f("GET", path, "", 401)
	}
	f("PUT", "/p/-/quit", "", 401)
	f("PUT", "/p/metrics/job/x", "", 401)
	f("PUT", "/p/metrics/job/x", "alice:secret", 200)
}

// TestSystemdSockets starts the gateway as systemd does: with sockets from
// descriptor 3 on, their number and the process they are meant for in the
// environment.
func TestSystemdSockets(t *testing.T) {
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, l.Addr().String())
		files = append(files, f)
		if err := l.Close(); err != nil { // the descriptor in f goes on
			t.Fatal(err)
		}
	}
	binary, err := exec.LookPath(program) // TestMain has put this test binary there
	if err != nil {
		t.Fatal(err)
	}
	// Only the shell knows the number of the process before it is pushbridge.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`,
		binary, "--web.systemd-socket", "--web.listen-address=127.0.0.1:1", "--storage.path=", "--web.enable-lifecycle")
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2")
	cmd.ExtraFiles = files
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		_ = f.Close()
	}
	// The sockets listen already: the first answer may take a while.
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for i, address := range addresses {
		if got, err := ask(t, client, http.MethodPut, fmt.Sprintf("http://%s/metrics/job/a/i/%d", address, i), "m 1\n", ""); got != 200 {
			t.Errorf("push to %s: %d %v", address, got, err)
		}
	}
	if got, err := ask(t, client, http.MethodPut, "http://"+addresses[1]+"/-/quit", "", ""); got != 200 {
		t.Errorf("quit: %d %v", got, err)
		_ = cmd.Process.Kill()
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
