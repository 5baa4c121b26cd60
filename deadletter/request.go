package deadletter

import (
	"os"
	"path/filepath"
	"strings"
)

// requestName is the file by which somebody beside the process, or before its start, asks
// it to send letters once more: in it the name of a destination, empty for all.
const requestName = "replay"

// Ask leaves a request for the process that has, or will have, the storage directory.
func Ask(storage, destination string) error {
	dir := filepath.Join(storage, Dir)
	temporary := filepath.Join(dir, requestName+".new")
	if err := os.WriteFile(temporary, []byte(destination+"\n"), filePerm); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, requestName))
}

// Asked says whether there is a request, and takes it away.
func (s *Store) Asked() (destination string, asked bool) {
	name := filepath.Join(s.dir, requestName)
	text, err := os.ReadFile(name)
	if err != nil { // there is none, almost always
		return "", false
	}
	return strings.TrimSpace(string(text)), os.Remove(name) == nil
}

// Waiting says whether a request in a storage directory was not taken yet.
func Waiting(storage string) bool {
	_, err := os.Stat(filepath.Join(storage, Dir, requestName))
	return err == nil
}
