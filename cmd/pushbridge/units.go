package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteUnit knows units by their SI and IEC names; 0 for others.
func byteUnit(name string) float64 {
	switch name {
	case "", "B":
		return 1
	case "KB":
		return 1e3
	case "MB":
		return 1e6
	case "GB":
		return 1e9
	case "TB":
		return 1e12
	case "KIB":
		return 1 << 10
	case "MIB":
		return 1 << 20
	case "GIB":
		return 1 << 30
	case "TIB":
		return 1 << 40
	}
	return 0
}

// parseBytes takes a number, with a unit or without: 1048576, 512MB, 1.5GiB.
func parseBytes(s string) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := byteUnit(strings.ToUpper(s[len(digits):]))
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || unit == 0 || n*unit >= math.MaxInt64 || math.IsNaN(n) {
		return 0, fmt.Errorf("%q is no size such as 512MB, 10GiB or 1048576", s)
	}
	return int64(n * unit), nil
}
