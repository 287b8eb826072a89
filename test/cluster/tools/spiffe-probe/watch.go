package main

import (
	"context"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// watch runs an X509Source and prints each SVID that differs from the one before, until `rotations` replacements were seen.
func watch(ctx context.Context, rotations int) error {
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return fmt.Errorf("open X509Source: %w", err)
	}
	defer source.Close()

	last := ""
	for seen := -1; ; {
		svid, err := source.GetX509SVID()
		if err != nil {
			return fmt.Errorf("get X.509-SVID: %w", err)
		}
		if serial := serialOf(svid); serial != last {
			last = serial
			seen++
			printUpdate(svid, seen)
		}
		if rotations > 0 && seen >= rotations {
			return nil
		}
		select {
		case <-source.Updated():
		case <-ctx.Done():
			if rotations == 0 {
				return nil
			}
			return fmt.Errorf("saw %d of %d rotations: %w", seen, rotations, ctx.Err())
		}
	}
}
