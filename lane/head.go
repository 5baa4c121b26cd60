package lane

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// maxBody is the largest body that the lane takes, in bytes: what is left of one after
// the answer is read to the end. For larger ones net/http's cost does not count.
const maxBody = 256 << 10

// head is that of a plain push.
type head struct {
	size   int // in bytes, with the empty line
	method string
	target string
	url    *url.URL

	// What follows is that of the fields, in order as they came, and stays while the same
	// ones come again: as a rule a client sends the same ones each time. Nobody changes
	// them. Where some are others, those are read, and known has the rest.
	fields []byte
	known  []field
	header http.Header
	host   string
	length int64
	last   bool // Connection: close
}

// field is a line of a head, and what it says.
type field struct {
	line  string
	name  string
	value []string
}

const newline = "\r\n"

// parse reads the head at the begin of b, and reports whether it is all there and that of
// a plain push below path. It may say no to one that is.
func (h *head) parse(b []byte, path string) bool {
	end := bytes.Index(b, []byte(newline+newline))
	if end < 0 {
		return false
	}
	h.size = end + 2*len(newline)
	line, fields, _ := bytes.Cut(b[:end+len(newline)], []byte(newline))
	return h.parseLine(line, path) && h.parseFields(fields)
}

// parseLine reads the request line.
func (h *head) parseLine(line []byte, path string) bool {
	rest, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok {
		return false
	}
	if target, ok := bytes.CutPrefix(rest, []byte("POST ")); ok {
		h.method, rest = http.MethodPost, target
	} else if target, ok := bytes.CutPrefix(rest, []byte("PUT ")); ok {
		h.method, rest = http.MethodPut, target
	} else {
		return false
	}
	if h.url != nil && h.target == string(rest) {
		return true
	}
	return bytes.HasPrefix(rest, []byte(path)) && h.parseTarget(string(rest))
}

func (h *head) parseTarget(target string) bool {
	h.target, h.url = target, nil
	switch {
	case plainPath(target):
		h.url = &url.URL{Path: target}
	case !strings.ContainsAny(target, "?# "):
		h.url, _ = url.ParseRequestURI(target) // nil where it cannot be read
	}
	return h.url != nil
}

// plainPath reports whether a path is the same when it is decoded and encoded again.
func plainPath(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetterOrDigit(c) && c != '/' && c != '-' && c != '_' && c != '.' && c != '~' {
			return false
		}
	}
	return true
}

func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// parseFields reads the fields, each with its line end.
func (h *head) parseFields(fields []byte) bool {
	if h.header != nil && bytes.Equal(fields, h.fields) {
		return true
	}
	h.fields = append(h.fields[:0], fields...)
	h.header, h.host, h.length, h.last = nil, "", -1, false
	header := make(http.Header, 8)
	n := 0
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte(newline))
		if n == len(h.known) {
			h.known = append(h.known, field{})
		}
		f := &h.known[n]
		n++
		if (f.value == nil || f.line != string(line)) && !f.parse(string(line)) || !h.take(header, f) {
			return false
		}
	}
	if h.host == "" || h.length <= 0 || h.length > maxBody {
		return false
	}
	h.header = header
	return true
}

// parse reads a line.
func (f *field) parse(line string) bool {
	name, value, ok := cutLine(line)
	*f = field{line, name, []string{value}}
	return ok
}

// take adds a field to those of the head. One that comes twice, or that asks something of the
// server, is not plain.
func (h *head) take(header http.Header, f *field) bool {
	if _, twice := header[f.name]; twice {
		return false
	}
	value := f.value[0]
	switch f.name {
	case "Host":
		again := h.host != ""
		h.host = value
		return value != "" && isHost(value) && !again
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 31)
		h.length = int64(n)
		if err != nil {
			return false
		}
	case "Connection":
		h.last = strings.EqualFold(value, "close")
		if !h.last && !strings.EqualFold(value, "keep-alive") {
			return false
		}
	default:
		if isServers(f.name) {
			return false
		}
	}
	header[f.name] = f.value
	return true
}

// cutLine reads the name and the value that a line of a head has.
func cutLine(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	if !ok || !isToken(name) || !isText(value) {
		return "", "", false
	}
	return textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t"), true
}

// isToken reports whether s consists of what names of fields do, as a rule.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetterOrDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// isText reports whether s is printable ASCII.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// isHost reports whether s is a name or an address, perhaps with a port.
func isHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetterOrDigit(c) && c != '-' && c != '_' && c != '.' && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return true
}
