package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guide is what a section of docs/getting-started.md has one write and run.
type guide struct {
	files    map[string]string
	commands []string
}

var fileName = regexp.MustCompile("`([a-z]+\\.ya?ml)`")

// readGuides reads the page, by headings; what stands before the first is under "".
func readGuides(t testing.TB) map[string]*guide {
	t.Helper()
	b, err := os.ReadFile("../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	g := &guide{files: map[string]string{}}
	guides := map[string]*guide{"": g}
	var text, language, block string
	for line := range strings.Lines(string(b)) {
		switch fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case isFence && language == "":
			language = fence
		case isFence && language == "yaml":
			names := fileName.FindAllStringSubmatch(text, -1)
			g.files[names[len(names)-1][1]], language, block = block, "", ""
		case isFence:
			g.commands, language, block = append(g.commands, strings.Split(strings.TrimSpace(block), "\n")...), "", ""
		case language != "":
			block += line
		case strings.HasPrefix(line, "## "):
			g = &guide{files: map[string]string{}}
			guides[strings.TrimSpace(line[3:])], text = g, ""
		default:
			text += line
		}
	}
	return guides
}

// TestGettingStarted does what the page says, with free ports in the place of those that
// it names.
func TestGettingStarted(t *testing.T) {
	guides := readGuides(t)
	for _, b := range []guided{
		{"Prometheus", "/usr/bin/prometheus", "localhost:9090", "/-/ready", func(dir, addr string) []string {
			return []string{"--web.listen-address=" + addr, "--storage.tsdb.path=" + dir + "/tsdb"}
		}},
		{"VictoriaMetrics", "/usr/bin/victoria-metrics", "localhost:8428", "/health", func(dir, addr string) []string {
			return []string{"-httpListenAddr=" + addr, "-storageDataPath=" + dir + "/data", "-memory.allowedPercent=10"}
		}},
	} {
		t.Run(b.section, func(t *testing.T) { b.follow(t, guides[""], guides[b.section]) })
	}
}

// guided is a backend that can be run as its section says.
type guided struct {
	section, binary string
	documented      string // where the page has it
	ready           string
	more            func(dir, addr string) []string // flags that the test needs beside those of the page
}

func (b guided) follow(t *testing.T, common, g *guide) {
	t.Helper()
	dir := t.TempDir()
	need(t, b.binary, filepath.Base(b.binary))
	var here *strings.Replacer
	startOnPort(t, b.section, b.binary, b.ready, func(addr string) []string {
		here = hereFor(dir, g, b.documented, addr)
		writeFiles(t, dir, g, here)
		return append(strings.Fields(here.Replace(g.commands[0]))[1:], b.more(dir, addr)...)
	})
	walk(t, dir, common, g, here)
}

// walk does the steps that all sections share, and asks the backend as this one does.
func walk(t *testing.T, dir string, common, g *guide, here *strings.Replacer) {
	t.Helper()
	check, run, push, remove := common.commands[0], common.commands[1], common.commands[2], common.commands[3]
	if out := shellIn(t, dir, check); !strings.Contains(out, "takes remote write") {
		t.Errorf("%s says:\n%s", check, out)
	}
	pushbridge := startPushbridgeIn(t, filepath.Join(dir, "storage"), strings.Fields(here.Replace(run))[1:]...)
	at := strings.NewReplacer("http://localhost:9091", pushbridge.url)
	shellIn(t, dir, at.Replace(push))
	show := here.Replace(g.commands[len(g.commands)-1])
	eventually(t, "the push in a query", func() error { return wantIn(shellIn(t, dir, show), `"my_job"`, true) })
	shellIn(t, dir, at.Replace(remove))
	eventually(t, "the end in a query", func() error { return wantIn(shellIn(t, dir, show), `"my_job"`, false) })
}

// hereFor puts what the test has, pair by pair, in the place of what the page names, and
// files where they are.
func hereFor(dir string, g *guide, pairs ...string) *strings.Replacer {
	for _, name := range slices.Sorted(maps.Keys(g.files)) {
		pairs = append(pairs, "="+name, "="+filepath.Join(dir, name))
	}
	return strings.NewReplacer(pairs...)
}

// writeFiles puts the files of the section into the folder.
func writeFiles(t testing.TB, dir string, g *guide, here *strings.Replacer) {
	t.Helper()
	for name, text := range g.files {
		write(t, filepath.Join(dir, name), here.Replace(text))
	}
}

func wantIn(text, part string, there bool) error {
	if strings.Contains(text, part) != there {
		return fmt.Errorf("answer %s", text)
	}
	return nil
}

// shellIn runs a command in a folder, with pushbridge in the path.
func shellIn(t *testing.T, dir, command string) string {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(pushbridgePath, filepath.Join(bin, "pushbridge")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
