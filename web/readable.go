package web

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// readable says a value again as people read it, by the unit that the name of the
// metric ends in; empty where that says nothing more.
func readable(name string, v float64, now time.Time) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_sum"), "_created")
	switch {
	case isTime(name) && v > 1e8 && v < 1e11:
		return moment(time.UnixMicro(int64(v*1e6)), now).words()
	case strings.HasSuffix(base, "_seconds"):
		return readableSeconds(v)
	case strings.HasSuffix(base, "_milliseconds"), strings.HasSuffix(base, "_ms"):
		return readableSeconds(v / 1e3)
	case strings.HasSuffix(base, "_bytes"):
		return readableBytes(v)
	case strings.HasSuffix(base, "_ratio") && math.Abs(v) <= 1:
		return strconv.FormatFloat(math.Round(v*1e4)/100, 'f', -1, 64) + " %"
	case math.Abs(v) >= 1e4 && v == math.Trunc(v) && math.Abs(v) < 1e15:
		return grouped(int64(v))
	}
	return ""
}

// isTime reports whether values under that name are Unix times.
func isTime(name string) bool {
	for _, end := range []string{"_timestamp_seconds", "_timestamp", "_time_seconds", "_unixtime", "_time", "_created"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// words is a moment in words, with how long ago it was.
func (s stampView) words() string {
	return strings.Replace(strings.TrimSuffix(s.Exact, ".000Z"), "T", " ", 1) + ", " + s.Relative
}

// readableSeconds prints a duration, empty where its number says as much.
func readableSeconds(v float64) string {
	switch a := math.Abs(v); {
	case a == 0 || a >= 1 && a < 60:
		return ""
	case a < 1e-3:
		return strconv.FormatFloat(v*1e6, 'g', 3, 64) + " µs"
	case a < 1:
		return strconv.FormatFloat(v*1e3, 'g', 3, 64) + " ms"
	case a < 1e10:
		return span(time.Duration(v * 1e9))
	}
	return ""
}

func readableBytes(v float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for ; math.Abs(v) >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	if i == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i]
}

// bytesText is a size, however small.
func bytesText(n int64) string {
	if text := readableBytes(float64(n)); text != "" {
		return text
	}
	return grouped(n) + " B"
}

// grouped prints a number with spaces between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return sign + s
}

// short prints a number in few characters.
func short(v float64) string {
	switch {
	case v >= 1e9:
		return strconv.FormatFloat(v/1e9, 'f', 1, 64) + " G"
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', 1, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + " k"
	case v >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}
