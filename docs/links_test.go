package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	codeBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```")
)

// TestLinks follows each link of a page to another page of the repository, and to the
// heading there.
func TestLinks(t *testing.T) {
	followed := 0
	for _, pattern := range []string{"../*.md", "*.md", "decisions/*.md", "../deploy/*/*.md", "../findings/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			for _, m := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(read(t, page), ""), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				followed++
				if problem := deadEnd(t, page, m[1]); problem != "" {
					t.Errorf("%s links to %s: %s", page, m[1], problem)
				}
			}
		}
	}
	if followed < 100 {
		t.Errorf("only %d links were found", followed)
	}
}

// TestIndex fails for a page that the index does not lead to.
func TestIndex(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	index := read(t, "README.md")
	for _, page := range pages {
		if page != "README.md" && !strings.Contains(index, "]("+page+")") {
			t.Errorf("README.md does not link to %s", page)
		}
	}
}

// deadEnd says what is wrong with a link, and is empty when it leads somewhere.
func deadEnd(t *testing.T, page, to string) string {
	t.Helper()
	file, anchor, _ := strings.Cut(to, "#")
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(target); err != nil {
		return "there is no such file"
	}
	if anchor == "" {
		return ""
	}
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(read(t, target), ""), -1) {
		if anchorOf(m[1]) == anchor {
			return ""
		}
	}
	return "there is no such heading"
}

var noAnchor = regexp.MustCompile(`[^a-z0-9_ -]`)

// anchorOf is the name that a heading has in links.
func anchorOf(heading string) string {
	return strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
