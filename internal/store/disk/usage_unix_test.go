//go:build unix

package disk

import (
	"syscall"
	"time"
)

// usage is the CPU time of the process.
func usage() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
