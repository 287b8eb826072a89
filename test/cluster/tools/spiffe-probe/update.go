package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// update is one line of output; the field names are what tests read.
type update struct {
	SpiffeID      string    `json:"spiffeId"`
	Serial        string    `json:"serial"`
	NotAfter      time.Time `json:"notAfter"`
	Rotation      int       `json:"rotation"`
	LatencyMicros int64     `json:"latencyMicros,omitempty"`
}

var output sync.Mutex

func serialOf(svid *x509svid.SVID) string { return svid.Certificates[0].SerialNumber.Text(16) }

func printUpdate(svid *x509svid.SVID, rotation int) { printLine(lineOf(svid, rotation)) }

func lineOf(svid *x509svid.SVID, rotation int) update {
	leaf := svid.Certificates[0]
	return update{SpiffeID: svid.ID.String(), Serial: serialOf(svid), NotAfter: leaf.NotAfter.UTC(), Rotation: rotation}
}

func printLine(value any) {
	output.Lock()
	defer output.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(value)
}
