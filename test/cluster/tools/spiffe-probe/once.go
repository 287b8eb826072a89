package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// fetchOnce times what a starting workload waits for: connecting, and the first answer.
func fetchOnce(ctx context.Context) error {
	start := time.Now()
	svid, err := workloadapi.FetchX509SVID(ctx)
	if err != nil {
		return fmt.Errorf("fetch X.509-SVID: %w", err)
	}
	line := lineOf(svid, 0)
	line.LatencyMicros = micros(time.Since(start))
	printLine(line)
	return nil
}
