package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// holdStreams opens `count` sources at once and keeps them open until each had its first SVID.
func holdStreams(ctx context.Context, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, count)
	start := time.Now()
	for range count {
		go func() {
			source, err := workloadapi.NewX509Source(ctx)
			results <- err
			if err == nil {
				<-ctx.Done()
				source.Close()
			}
		}()
	}
	for served := range count {
		if err := <-results; err != nil {
			return fmt.Errorf("%d of %d streams were served: %w", served, count, err)
		}
	}
	printLine(map[string]int64{"streams": int64(count), "allServedMicros": micros(time.Since(start))})
	return nil
}
