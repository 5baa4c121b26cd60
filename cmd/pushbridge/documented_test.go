package main

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedCommands reads each command of pushbridge that a page has in a block, as
// the command line is read: there are such commands, flags and arguments.
func TestDocumentedCommands(t *testing.T) {
	found := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "deploy/*/*.md"} {
		pages, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			for _, args := range documentedCommands(t, page) {
				found++
				if _, err := parseArgs(commands(), args); err != nil {
					t.Errorf("%s: pushbridge %s: %v", page, strings.Join(args, " "), err)
				}
			}
		}
	}
	if found < 12 {
		t.Errorf("only %d commands were found", found)
	}
}

// documentedCommands returns the arguments of each pushbridge in the blocks for a shell.
func documentedCommands(t *testing.T, page string) (found [][]string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inShell, line := false, ""
	for part := range strings.Lines(string(b)) {
		text := strings.TrimSpace(part)
		if fence, ok := strings.CutPrefix(text, "```"); ok {
			inShell = fence == "sh" || fence == "bash"
			continue
		}
		line += strings.TrimSuffix(text, `\`)
		if strings.HasSuffix(text, `\`) {
			continue
		}
		if inShell {
			found = append(found, ourCommands(line)...)
		}
		line = ""
	}
	return found
}

// ourCommands are those of a line. What a shell would expand stands as it is.
func ourCommands(line string) (found [][]string) {
	words := strings.Fields(line)
	first := true
	for i, word := range words {
		if first && path.Base(word) == program {
			end := slices.IndexFunc(words[i+1:], endsCommand)
			if end < 0 {
				end = len(words) - i - 1
			}
			var args []string
			for _, a := range words[i+1 : i+1+end] {
				args = append(args, strings.Trim(a, `'"`))
			}
			found = append(found, args)
		}
		first = slices.Contains([]string{"|", "&&", "||", ";", "sudo"}, word)
	}
	return found
}

func endsCommand(word string) bool {
	return slices.Contains([]string{"|", "&&", "||", ";", "&", ">", "<", "2>&1"}, word) || word[0] == '#' || word[0] == '>' || word[0] == '<'
}
