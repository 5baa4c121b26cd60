package disk

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
)

const storeFileSize = preambleSize + 16 + 4 + 4

// identify reads the identity of the store. When that file is missing or damaged,
// the identity is what most segments say, and new in an empty directory.
func (d *directory) identify(files []fileInfo) error {
	b, err := d.readStart(storeName, storeFileSize)
	if err == nil {
		err = d.parseStoreFile(b)
	}
	exists := slices.ContainsFunc(files, func(f fileInfo) bool { return f.name == storeName })
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*VersionError)):
		return err
	case exists:
		d.report(&CorruptionError{File: storeName, Length: int64(len(b)), Err: err})
		d.copyAside(storeName)
	}
	if d.id, err = d.voteIdentity(files); err != nil {
		return err
	}
	return d.writeStoreFile(0)
}

func (d *directory) parseStoreFile(b []byte) error {
	if err := parsePreamble(b, storeMagic, storeName); err != nil {
		return err
	}
	le := binary.LittleEndian
	if len(b) < storeFileSize || le.Uint32(b[36:]) != crc32.Checksum(b[preambleSize:36], castagnoli()) {
		return errHeader
	}
	d.id = storeID(b[16:32])
	d.era.Store(le.Uint32(b[32:]))
	return nil
}

// voteIdentity returns the identity that most files carry.
func (d *directory) voteIdentity(files []fileInfo) (storeID, error) {
	votes := map[storeID]int{}
	for _, f := range files {
		if id, ok := d.identityOf(f.name); ok {
			votes[id]++
		}
	}
	var id storeID
	most := 0
	for v, n := range votes {
		if n > most || n == most && slices.Compare(v[:], id[:]) < 0 {
			id, most = v, n
		}
	}
	if most > 0 {
		return id, nil
	}
	_, err := rand.Read(id[:])
	return id, err
}

// identityOf returns the identity that a file carries, if it has a good one.
func (d *directory) identityOf(name string) (storeID, bool) {
	switch {
	case strings.HasSuffix(name, segmentSuffix):
		b, err := d.readStart(name, segmentHeaderSize)
		if err != nil {
			return storeID{}, false
		}
		h, err := parseSegmentHeader(b, name)
		return h.store, err == nil
	case strings.HasSuffix(name, snapshotSuffix):
		h, err := d.snapshotHeader(name)
		return h.store, err == nil
	case strings.HasSuffix(name, cursorSuffix):
		b, err := d.readStart(name, pageSize)
		if err != nil {
			return storeID{}, false
		}
		store, _, err := parseCursorHeader(b, name)
		return store, err == nil
	}
	return storeID{}, false
}

func appendStoreFile(dst []byte, id storeID, era uint32) []byte {
	at := len(dst)
	dst = appendPreamble(dst, storeMagic)
	dst = append(dst, id[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, era)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at+preambleSize:], castagnoli()))
}

// writeStoreFile puts the identity and the era in place.
func (d *directory) writeStoreFile(era uint32) error {
	b := appendStoreFile(nil, d.id, era)
	f, err := d.replace(storeName, func(f file) error { return writeAll(f, b, 0) })
	if err != nil {
		return err
	}
	return f.Close()
}
