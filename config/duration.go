package config

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// ParseDuration takes what Pushgateway's flags take, as 1h30m or 1.5h, and what
// Prometheus writes, as 1d or 2w.
func ParseDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration such as 30s, 1h30m or 7d", s)
	}
	return time.Duration(d), nil
}
