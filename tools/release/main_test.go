package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

var at = time.Unix(1_700_000_000, 0).UTC()

// The same files make the same archive, whatever their own times are, and it holds them.
func TestArchiveIsTheSame(t *testing.T) {
	var archives [2][]byte
	for i := range archives {
		dir := t.TempDir()
		var files []file
		for _, name := range []string{"LICENSE", "pushbridge"} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("content of "+name), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at.Add(time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
			files = append(files, file{path, name})
		}
		out := filepath.Join(dir, "out.tar.gz")
		if err := writeArchive(out, "pushbridge-1", files, at); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = b
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same files differ")
	}
	z, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name+" "+string(content))
	}
	want := "-rw-r--r-- pushbridge-1/LICENSE content of LICENSE\n-rwxr-xr-x pushbridge-1/pushbridge content of pushbridge"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// So does a zip, for Windows.
func TestZipIsTheSame(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pushbridge.exe")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	var zips [2][]byte
	for i := range zips {
		if err := os.Chtimes(path, at, at.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out.zip")
		if err := writeZip(out, "pushbridge-1", []file{{path, "pushbridge.exe"}}, at); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		zips[i] = b
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Error("two zips of the same file differ")
	}
	r, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	if err != nil {
		t.Fatal(err)
	}
	content, err := fs.ReadFile(r, "pushbridge-1/pushbridge.exe")
	if err != nil || string(content) != "content" || len(r.File) != 1 {
		t.Errorf("%q %v, %d files", content, err, len(r.File))
	}
}

// The bill names the product, Go itself and each module, and can be read again.
func TestBill(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Path: "example.org/product"}, Deps: []*debug.Module{
		{Path: "example.org/a", Version: "v1.0.0"},
		{Path: "example.org/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/c", Version: "v2.0.0"}},
	}}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).Encode(bill(info, "0.1.0", at)); err != nil {
		t.Fatal(err)
	}
	var got cdx.BOM
	if err := cdx.NewBOMDecoder(&b, cdx.BOMFileFormatJSON).Decode(&got); err != nil {
		t.Fatal(err)
	}
	urls := []string{got.Metadata.Component.PackageURL}
	for _, c := range *got.Components {
		urls = append(urls, c.PackageURL)
	}
	want := "pkg:golang/example.org/product@v0.1.0 pkg:golang/std@1.26.8 pkg:golang/example.org/a@v1.0.0 pkg:golang/example.org/c@v2.0.0"
	if strings.Join(urls, " ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(urls, " "), want)
	}
	if n := len(*(*got.Dependencies)[0].Dependencies); n != 3 {
		t.Errorf("it depends on %d", n)
	}
}
