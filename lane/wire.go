package lane

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// answerSize is what is read of an answer at once: all of a plain one.
	answerSize = 2 << 10
	// maxAnswerHead bounds the heads of answers that are not plain.
	maxAnswerHead = 1 << 20
	// maxInterim is how many answers may come before the answer.
	maxInterim = 5
)

// wire is a connection of a Client. Who has taken it is the only one that uses it.
type wire struct {
	net.Conn
	since time.Time // it has had no request
	out   []byte
	room  [answerSize]byte
}

// errInterim is about a server that has more to say than an answer.
var errInterim = errors.New("lane: a server that does not come to its answer")

// send writes q, in one piece. An error says that some of it was not written.
func (w *wire) send(q *Request) error {
	w.out = q.appendHead(w.out[:0])
	if len(w.out)+len(q.Body) > maxOut {
		pieces := net.Buffers{w.out, q.Body}
		_, err := pieces.WriteTo(w.Conn)
		return err
	}
	w.out = append(w.out, q.Body...)
	_, err := w.Write(w.out)
	return err
}

// receive reads the answer, and reports whether the connection may have another request: it
// was read to its end, and nothing is behind it. net/http reads what is not plain.
func (w *wire) receive(most int64) (a *Answer, again bool, err error) {
	n, end := 0, 0
	for end == 0 {
		m, err := w.Read(w.room[n:])
		n += m
		if end = headEnd(w.room[:n]); end == 0 && (err != nil || n == len(w.room)) {
			break
		}
	}
	a = &Answer{}
	length, last, plain := a.parse(w.room[:end])
	if !plain || int64(length) > min(most, maxBody) {
		a, err = w.odd(w.room[:n], most)
		return a, false, err
	}
	a.Body = make([]byte, length)
	if got := copy(a.Body, w.room[end:n]); got < length {
		if _, err := io.ReadFull(w.Conn, a.Body[got:]); err != nil {
			return nil, false, err
		}
	}
	return a, !last && n <= end+length, nil
}

// headEnd returns where the head ends that b begins with, 0 when more must come. There are
// servers that end lines with less than they should.
func headEnd(b []byte) int {
	if i := bytes.Index(b, []byte("\n"+newline)); i >= 0 {
		return i + 1 + len(newline)
	}
	if i := bytes.Index(b, []byte("\n\n")); i >= 0 {
		return i + 2
	}
	return 0
}

// odd reads an answer of which something was read, by the ways of net/http.
func (w *wire) odd(begin []byte, most int64) (*Answer, error) {
	limit := &io.LimitedReader{R: io.MultiReader(bytes.NewReader(begin), w.Conn), N: maxAnswerHead}
	in := bufio.NewReader(limit)
	for range maxInterim {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < http.StatusOK {
			continue
		}
		limit.N = math.MaxInt64
		a := &Answer{Status: resp.StatusCode, Header: resp.Header}
		a.Body, err = io.ReadAll(io.LimitReader(resp.Body, most))
		_ = resp.Body.Close() // the connection goes anyway
		if err != nil {
			return nil, err
		}
		return a, nil
	}
	return nil, errInterim
}

// parse reads the head of an answer, with the empty line at its end, and reports whether it
// is plain: HTTP/1.1, no field twice, a length, nothing that says how to read it.
func (a *Answer) parse(head []byte) (length int, last, plain bool) {
	text := string(head)
	line, rest, _ := strings.Cut(text, newline)
	if a.Status = statusOf(line); a.Status < http.StatusOK || !hasBody(a.Status) {
		return 0, false, false
	}
	length = -1 // until it is told
	a.Header = make(http.Header, 8)
	values := make([]string, 0, 8)
	for {
		if line, rest, _ = strings.Cut(rest, newline); line == "" {
			break
		}
		name, value, ok := cutLine(line)
		if _, twice := a.Header[name]; !ok || twice {
			return 0, false, false
		}
		switch name {
		case "Content-Length":
			n, err := strconv.ParseUint(value, 10, 31)
			if length = int(n); err != nil {
				return 0, false, false
			}
		case "Connection":
			last = strings.EqualFold(value, "close")
			if !last && !strings.EqualFold(value, "keep-alive") {
				return 0, false, false
			}
		case "Transfer-Encoding", "Trailer", "Upgrade":
			return 0, false, false
		}
		values = append(values, value)
		a.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return length, last, length >= 0 && rest == ""
}

// statusOf returns the status that a status line has, 0 for none that is plain.
func statusOf(line string) int {
	rest, ok := strings.CutPrefix(line, "HTTP/1.1 ")
	if !ok || len(rest) < 4 || rest[3] != ' ' || !isText(rest) {
		return 0
	}
	n, err := strconv.ParseUint(rest[:3], 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}
