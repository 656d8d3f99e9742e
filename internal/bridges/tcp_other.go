//go:build !linux

package bridges

import (
	"net"
	"time"
)

// limitSilence has no effect here; the keep-alive of MQTT finds a silent connection too.
func limitSilence(*net.Dialer, time.Duration) {}
