package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// driver pushes over a connection of its own. It takes less CPU than net/http's client: on
// the same cores, what it takes is missing to the gateway that is measured.
type driver struct {
	host string // that conn leads to
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

// push posts body to url, and returns status and text of the answer. Headers are name and
// value by turns.
func (d *driver) push(url, body string, headers []string) (status int, text string, err error) {
	host, path, ok := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	if !ok {
		return 0, "", fmt.Errorf("%q has no path", url)
	}
	if d.host != host {
		d.close()
		if d.conn, err = net.Dial("tcp", host); err != nil { //nolint:noctx // to this machine
			return 0, "", err
		}
		d.host, d.in = host, bufio.NewReader(d.conn)
	}
	d.out = append(append(append(append(d.out[:0], "POST /"...), path...), " HTTP/1.1\r\nHost: "...), host...)
	for i := 0; i+1 < len(headers); i += 2 {
		d.out = append(append(append(append(d.out, "\r\n"...), headers[i]...), ": "...), headers[i+1]...)
	}
	d.out = strconv.AppendInt(append(d.out, "\r\nContent-Length: "...), int64(len(body)), 10)
	d.out = append(append(d.out, "\r\n\r\n"...), body...)
	if _, err := d.conn.Write(d.out); err != nil {
		return 0, "", err
	}
	return d.answer()
}

// answer reads one whose text has a length.
func (d *driver) answer() (status int, text string, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := d.in.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case first:
			code, _ := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
			status, err = strconv.Atoi(string(code[:min(3, len(code))]))
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			err = errors.New("an answer in pieces")
		}
		if err != nil {
			return 0, "", err
		}
	}
	if length == 0 {
		return status, "", nil
	}
	b := make([]byte, length)
	_, err = io.ReadFull(d.in, b)
	return status, string(b), err
}

func (d *driver) close() {
	if d.conn != nil {
		_ = d.conn.Close()
	}
}
