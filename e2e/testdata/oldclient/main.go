// Command oldclient pushes one gauge with the client_golang that its go.mod
// pins: oldclient URL.
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

func main() {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "old_client", Help: "One."})
	gauge.Set(1)
	if err := push.New(os.Args[1], "old").Collector(gauge).Push(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
