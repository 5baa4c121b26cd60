// Command release builds pushbridge for every platform and packs what people download:
// archives, their checksums and a bill of materials of each binary. The same commit gives
// the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// release is what the flags say.
type release struct {
	source, dist  string
	host          string
	version       string
	ldflags, tags string
	platforms     []string
	time          time.Time
}

func main() {
	var r release
	var platforms string
	var seconds int64
	flag.StringVar(&r.source, "source", ".", "folder of the main module")
	flag.StringVar(&r.dist, "dist", "dist", "folder to write to; it must be new")
	flag.StringVar(&r.host, "host", "bin/pushbridge", "a binary that runs here, for the man page and completions of packages")
	flag.StringVar(&r.version, "version", "", "version of the release")
	flag.StringVar(&r.ldflags, "ldflags", "", "flags of the linker, with the version stamp")
	flag.StringVar(&r.tags, "tags", "", "build tags")
	flag.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64", "what to build for")
	flag.Int64Var(&seconds, "time", 0, "Unix time of all files: that of the commit")
	flag.Parse()
	r.platforms, r.time = strings.Split(platforms, ","), time.Unix(seconds, 0).UTC()
	if err := r.make(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) make() error {
	if err := os.Mkdir(r.dist, 0o755); err != nil {
		return err
	}
	for _, platform := range r.platforms {
		if err := r.platform(platform); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	return writeSums(r.dist)
}

// platform makes the archive, the bill of materials and, for Linux, the Debian package.
func (r *release) platform(platform string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	name := fmt.Sprintf("pushbridge-%s.%s-%s", r.version, goos, goarch)
	folder, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "pushbridge")
	if goos == "windows" {
		binary += ".exe"
	}
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=false", "-tags", r.tags, "-ldflags", r.ldflags, "-o", binary, "./cmd/pushbridge")
	build.Dir, build.Stderr = r.source, os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOFLAGS=")
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	out := filepath.Join(r.dist, name)
	if err := writeBill(out+".cdx.json", binary, r.version, r.time); err != nil {
		return err
	}
	if goos == "linux" {
		if err := r.debian(binary, goarch); err != nil {
			return fmt.Errorf("package: %w", err)
		}
	}
	files, err := r.files(binary)
	if err != nil {
		return err
	}
	if goos == "windows" {
		return writeZip(out+".zip", name, files, r.time)
	}
	return writeArchive(out+".tar.gz", name, files, r.time)
}

// debian makes the package, where Debian's own tool for it is.
func (r *release) debian(binary, arch string) error {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		fmt.Fprintln(os.Stderr, "release: no Debian package, since there is no dpkg-deb")
		return nil
	}
	out := filepath.Join(r.dist, fmt.Sprintf("pushbridge_%s_%s.deb", r.version, arch))
	build := exec.CommandContext(context.Background(), filepath.Join(r.source, "deploy/debian/build"), binary, arch, r.version, out)
	build.Env = append(os.Environ(), fmt.Sprint("SOURCE_DATE_EPOCH=", r.time.Unix()), "RUN="+r.host)
	build.Stderr = os.Stderr
	return build.Run()
}

// file is one of an archive.
type file struct{ from, to string }

// files are the binary and what one needs beside it.
func (r *release) files(binary string) ([]file, error) {
	files := []file{{binary, filepath.Base(binary)}}
	for _, pattern := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "docs/*.md", "deploy/mixin/*.yml", "deploy/mixin/dashboards/*.json", "deploy/systemd/pushbridge.*",
	} {
		found, err := filepath.Glob(filepath.Join(r.source, pattern))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: there is no such file", pattern)
		}
		for _, from := range found {
			to, err := filepath.Rel(r.source, from)
			if err != nil {
				return nil, err
			}
			files = append(files, file{from, filepath.ToSlash(to)})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.to, b.to) })
	return files, nil
}
