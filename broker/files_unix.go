//go:build unix

package broker

import "syscall"

// openFiles is how many files this process may have open, 0 if that is not known.
func openFiles() uint64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0
	}
	return uint64(files.Cur)
}
