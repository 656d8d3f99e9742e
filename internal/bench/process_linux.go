package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// usageOf reads the CPU clock of a process and its files in /proc.
func usageOf(pid int) (u usage, err error) {
	fail := func(err error) (usage, error) { return usage{}, fmt.Errorf("usage of process %d: %w", pid, err) }
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		err = syscall.ESRCH
	}
	if err != nil {
		return fail(err)
	}
	var ts syscall.Timespec
	clock := ^int32(pid)<<3 | 2 // clock_getcpuclockid: the scheduler's clock of a whole process
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return fail(errno)
	}
	u.cpu = float64(ts.Nano()) / 1e9
	// The name in parentheses may contain anything; utime and stime are the 12th and 13th field after it.
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(f) < 13 {
		return fail(fmt.Errorf("%q is not what /proc/PID/stat should be", stat))
	}
	user, err1 := strconv.ParseFloat(f[11], 64)
	sys, err2 := strconv.ParseFloat(f[12], 64)
	if err1 != nil || err2 != nil {
		return fail(fmt.Errorf("%q is not what /proc/PID/stat should be", stat))
	}
	u.user, u.sys = user/100, sys/100
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return fail(err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.rss = kib << 10
		case "VmHWM":
			u.peak = kib << 10
		}
	}
	return u, nil
}
