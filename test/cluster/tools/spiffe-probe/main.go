// spiffe-probe is a workload that knows nothing of Countersign: it speaks the SPIFFE Workload API through go-spiffe.
//
// It prints one JSON line for each X.509-SVID it is given. Modes:
//
//	spiffe-probe -rotations 2 -timeout 5m   exit 0 once the SVID was replaced twice
//	spiffe-probe                            print every update until SIGTERM
//	spiffe-probe -once                      time one fetch over a new connection
//	spiffe-probe -streams 100 -timeout 30s  hold that many streams; exit 0 once each had an SVID
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

var errUsage = errors.New("choose one of -once, -streams and -rotations")

func main() {
	once := flag.Bool("once", false, "fetch one X.509-SVID, print the latency in microseconds and exit")
	streams := flag.Int("streams", 0, "open this many streams, each on its own connection, and exit once all had an SVID")
	rotations := flag.Int("rotations", 0, "exit 0 after this many replacements of the SVID; 0 means run until stopped")
	timeout := flag.Duration("timeout", 0, "fail after this long; 0 means never")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *timeout)
		defer cancel()
	}

	var err error
	switch {
	case *once && *streams == 0 && *rotations == 0:
		err = fetchOnce(ctx)
	case *streams > 0 && !*once && *rotations == 0:
		err = holdStreams(ctx, *streams)
	case !*once && *streams == 0:
		err = watch(ctx, *rotations)
	default:
		err = errUsage
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "spiffe-probe:", err)
		os.Exit(1)
	}
}

func micros(d time.Duration) int64 { return d.Microseconds() }
