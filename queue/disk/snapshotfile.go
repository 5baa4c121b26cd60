package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// A snapshot file is a header, what the caller wrote, and a trailer with its
// length and checksum.
const (
	snapshotHeaderSize  = 72
	snapshotTrailerSize = 16
)

// snapshotHeader is the start of a snapshot.
type snapshotHeader struct {
	store   storeID
	seq     uint64 // everything up to here is in it
	floor   int64
	total   uint64 // samples of all records up to seq, if known
	created int64  // ns since the epoch
	era     uint32
}

// snapshotInfo is a snapshot on disk whose header is good.
type snapshotInfo struct {
	snapshotHeader
	name  string
	bytes int64
}

func (h snapshotHeader) append(dst []byte) []byte {
	at := len(dst)
	le := binary.LittleEndian
	dst = appendPreamble(dst, snapshotMagic)
	dst = append(dst, h.store[:]...)
	dst = le.AppendUint64(dst, h.seq)
	dst = le.AppendUint64(dst, uint64(h.floor))
	dst = le.AppendUint64(dst, h.total)
	dst = le.AppendUint64(dst, uint64(h.created))
	dst = le.AppendUint32(dst, h.era)
	return le.AppendUint32(dst, crc32.Checksum(dst[at+preambleSize:], castagnoli()))
}

// parseSnapshotHeader reads a header. The fields are good unless the error is
// errHeader, errShort or a *VersionError.
func parseSnapshotHeader(b []byte, name string) (h snapshotHeader, err error) {
	err = parsePreamble(b, snapshotMagic, name)
	if errors.As(err, new(*VersionError)) {
		return h, err
	}
	le := binary.LittleEndian
	if len(b) < snapshotHeaderSize {
		return h, errShort
	}
	if le.Uint32(b[68:]) != crc32.Checksum(b[preambleSize:68], castagnoli()) {
		return h, errHeader
	}
	copy(h.store[:], b[16:])
	h.seq, h.floor = le.Uint64(b[32:]), int64(le.Uint64(b[40:]))
	h.total, h.created, h.era = le.Uint64(b[48:]), int64(le.Uint64(b[56:])), le.Uint32(b[64:])
	return h, err
}

// summer counts and sums what passes through.
type summer struct {
	w   io.Writer
	n   int64
	sum uint32
}

func (s *summer) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.n += int64(n)
	s.sum = crc32.Update(s.sum, castagnoli(), b[:n])
	return n, err
}

// offsetWriter writes to a file from an offset on.
type offsetWriter struct {
	f   file
	off int64
}

func (w *offsetWriter) Write(b []byte) (int, error) {
	err := writeAll(w.f, b, w.off)
	if err != nil {
		return 0, err
	}
	w.off += int64(len(b))
	return len(b), nil
}

// writeSnapshot writes a snapshot and puts it in place, durably.
func (d *directory) writeSnapshot(h snapshotHeader, write func(io.Writer) error) (snapshotInfo, error) {
	h.store, h.era = d.id, d.era.Load()
	info := snapshotInfo{snapshotHeader: h, name: numbered(h.seq, snapshotSuffix)}
	f, err := d.replace(info.name, func(f file) (err error) {
		info.bytes, err = fillSnapshot(f, h, write)
		return err
	})
	if err != nil {
		return info, err
	}
	return info, f.Close()
}

// fillSnapshot writes header, content and trailer.
func fillSnapshot(f file, h snapshotHeader, write func(io.Writer) error) (int64, error) {
	out := &offsetWriter{f: f}
	buffered := bufio.NewWriterSize(out, 256<<10)
	if _, err := buffered.Write(h.append(nil)); err != nil {
		return 0, err
	}
	content := &summer{w: buffered, sum: seedOf(h.store, h.seq)}
	if err := write(content); err != nil {
		return 0, err
	}
	var trailer []byte
	trailer = binary.LittleEndian.AppendUint64(trailer, uint64(content.n))
	trailer = binary.LittleEndian.AppendUint32(trailer, content.sum)
	trailer = binary.LittleEndian.AppendUint32(trailer, crc32.Checksum(trailer, castagnoli()))
	if _, err := buffered.Write(trailer); err != nil {
		return 0, err
	}
	if err := buffered.Flush(); err != nil {
		return 0, err
	}
	return out.off, nil
}

var (
	errTrailer = errors.New("the trailer does not match its checksum, or the length")
	errContent = errors.New("the content does not match its checksum")
)

// checkSnapshot reads a snapshot once and compares its checksums. It returns the
// content, to be read a second time.
func checkSnapshot(f file, s snapshotInfo) (*io.SectionReader, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	length := size - snapshotHeaderSize - snapshotTrailerSize
	if length < 0 {
		return nil, errShort
	}
	var trailer [snapshotTrailerSize]byte
	if _, err := f.ReadAt(trailer[:], size-snapshotTrailerSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	le := binary.LittleEndian
	if le.Uint32(trailer[12:]) != crc32.Checksum(trailer[:12], castagnoli()) || int64(le.Uint64(trailer[:])) != length {
		return nil, errTrailer
	}
	content := io.NewSectionReader(f, snapshotHeaderSize, length)
	sum := &summer{w: io.Discard, sum: seedOf(s.store, s.seq)}
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{content}, make([]byte, 256<<10)); err != nil {
		return nil, err
	}
	if sum.sum != le.Uint32(trailer[8:]) {
		return nil, errContent
	}
	_, err = content.Seek(0, io.SeekStart)
	return content, err
}

// findSnapshots reads the headers of all snapshots, and returns them newest first.
func (d *directory) findSnapshots(files []fileInfo) ([]snapshotInfo, error) {
	var found []snapshotInfo
	for _, info := range files {
		if !strings.HasSuffix(info.name, snapshotSuffix) {
			continue
		}
		h, err := d.snapshotHeader(info.name)
		switch {
		case errors.As(err, new(*VersionError)):
			return nil, err
		case err == nil && h.store != d.id:
			d.report(&CorruptionError{File: info.name, Length: info.size, Err: errForeign})
			d.moveAside(info.name)
		case err != nil && !errors.Is(err, errPreamble):
			d.report(&CorruptionError{File: info.name, Length: info.size, Err: err})
			d.moveAside(info.name)
		default:
			found = append(found, snapshotInfo{h, info.name, info.size})
		}
	}
	slices.SortFunc(found, func(a, b snapshotInfo) int { return int(min(max(int64(b.seq-a.seq), -1), 1)) })
	return found, nil
}

func (d *directory) snapshotHeader(name string) (snapshotHeader, error) {
	b, err := d.readStart(name, snapshotHeaderSize)
	if err != nil {
		return snapshotHeader{}, err
	}
	return parseSnapshotHeader(b, name)
}

// snapshotDamage says that a snapshot itself is bad, not who reads it.
type snapshotDamage struct{ err error }

func (e *snapshotDamage) Error() string { return e.err.Error() }

func (e *snapshotDamage) Unwrap() error { return e.err }

// readSnapshot gives the content of s to read, if it is good.
func (d *directory) readSnapshot(s snapshotInfo, read func(io.Reader) error) error {
	f, err := d.fs.Open(d.path(s.name))
	if err != nil {
		return fmt.Errorf("read snapshot %s: %w", s.name, &snapshotDamage{err})
	}
	content, err := checkSnapshot(f, s)
	if err != nil {
		err = &snapshotDamage{err}
	} else {
		err = read(bufio.NewReaderSize(content, 256<<10))
	}
	if err != nil {
		err = fmt.Errorf("read snapshot %s: %w", s.name, err)
	}
	return errors.Join(err, f.Close())
}

// describe returns what the log is told about the snapshot in an era.
func (h snapshotHeader) describe(era uint32) queue.Snapshot {
	s := queue.Snapshot{Seq: h.seq, Floor: h.floor, Total: h.total, Created: h.time(), Stale: h.era < era}
	if h.era != era {
		s.Floor = 0
	}
	return s
}

// time returns when the snapshot was made.
func (h snapshotHeader) time() time.Time { return time.Unix(0, h.created) }
