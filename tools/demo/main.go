// Command demo shows pushbridge's main job on this machine: it starts a
// receiver and the gateway in front of it, pushes what a batch job would push,
// deletes the group, and prints what arrived. Ports come from the kernel, all
// files live in a temporary directory, and everything is stopped and removed at
// the end. With DEMO=stay it keeps running until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const body = `# TYPE backup_duration_seconds gauge
# HELP backup_duration_seconds How long the last backup took.
backup_duration_seconds 12.7
# TYPE backup_files_total counter
backup_files_total{kind="new"} 31
backup_files_total{kind="unchanged"} 4096
# TYPE backup_file_bytes histogram
backup_file_bytes_bucket{le="1024"} 3000
backup_file_bytes_bucket{le="1048576"} 4100
backup_file_bytes_bucket{le="+Inf"} 4127
backup_file_bytes_sum 734003200
backup_file_bytes_count 4127
`

func main() {
	bin := flag.String("bin", "bin/pushbridge", "the pushbridge `binary` to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, os.Getenv("DEMO") == "stay"); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, stay bool) (err error) {
	dir, err := os.MkdirTemp("", "pushbridge-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	arrived := filepath.Join(dir, "arrived.txt")

	receiver, err := start(ctx, bin, dir, "receive", "--output="+arrived)
	if err != nil {
		return err
	}
	defer receiver.stop(&err)
	gateway, err := start(ctx, bin, dir, "serve", "--storage.path="+filepath.Join(dir, "data"),
		"--remote-write.url="+receiver.url+"/api/v1/write")
	if err != nil {
		return err
	}
	defer gateway.stop(&err)

	fmt.Printf("receiver  %s  (pushbridge receive)\ngateway   %s  (pushbridge)\n\n", receiver.url, gateway.url)
	group := gateway.url + "/metrics/job/backup/instance/db1"
	if err := push(ctx, group, arrived); err != nil {
		return err
	}
	if err := remove(ctx, group, arrived); err != nil {
		return err
	}
	text, err := os.ReadFile(arrived)
	if err != nil {
		return err
	}
	fmt.Printf("What arrived at the receiver, by remote write:\n\n%s\n", text)
	fmt.Printf("see also  %s/metrics  %s/  %s/api/v1/samples\n", gateway.url, gateway.url, receiver.url)
	if stay {
		fmt.Println("\nDEMO=stay: both keep running, Ctrl-C stops them.")
		<-ctx.Done()
	}
	return nil
}

func push(ctx context.Context, group, arrived string) error {
	fmt.Printf("cat <<E | curl -X PUT --data-binary @- %s\n%sE\n", group, body)
	if err := request(ctx, http.MethodPut, group, body); err != nil {
		return err
	}
	return waitFor(ctx, arrived, `backup_file_bytes_count{`)
}

func remove(ctx context.Context, group, arrived string) error {
	fmt.Printf("curl -X DELETE %s\n", group)
	if err := request(ctx, http.MethodDelete, group, ""); err != nil {
		return err
	}
	fmt.Println()
	return waitFor(ctx, arrived, "stale")
}

func request(ctx context.Context, method, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return err
	}
	fmt.Printf("→ %s %s\n", resp.Status, answer)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return nil
}

// process is a started pushbridge; its log goes to a file in the demo's
// directory, and is shown when it ends badly.
type process struct {
	cmd *exec.Cmd
	log string
	url string
}

func start(ctx context.Context, bin, dir, command string, args ...string) (*process, error) {
	address := filepath.Join(dir, command+".address")
	p := &process{log: filepath.Join(dir, command+".log")}
	file, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), bin, append([]string{
		command, "--web.listen-address=127.0.0.1:0", "--web.listen-address-file=" + address,
	}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches the demo alone, which stops them in order
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(ctx, address, ":"); err != nil {
		p.stop(&err)
		return nil, fmt.Errorf("start %s: %w", command, err)
	}
	text, err := os.ReadFile(address)
	if err != nil {
		return nil, err
	}
	p.url = "http://" + strings.TrimSpace(string(text))
	return p, nil
}

// stop ends the process and waits for it; a bad end becomes *failed unless that
// is set already.
func (p *process) stop(failed *error) {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = p.cmd.Wait()
	}
	if err == nil {
		return
	}
	text, _ := os.ReadFile(p.log)
	fmt.Fprintf(os.Stderr, "%s\n", text)
	if *failed == nil {
		*failed = fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
}

// waitFor waits until the file holds a finished line with want in it.
func waitFor(ctx context.Context, file, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(file)
		if whole := strings.LastIndexByte(string(text), '\n'); err == nil && whole >= 0 && strings.Contains(string(text[:whole]), want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no %q in %s: %w", want, filepath.Base(file), ctx.Err())
		case <-tick.C:
		}
	}
}
