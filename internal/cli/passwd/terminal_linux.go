package passwd

import (
	"os"
	"syscall"
	"unsafe"
)

// hideTyping makes a terminal not show what is typed, until show is called. It
// reports false if f is no terminal.
func hideTyping(f *os.File) (show func(), ok bool) {
	if f == nil {
		return nil, false
	}
	var was syscall.Termios
	if !ioctl(f, syscall.TCGETS, &was) {
		return nil, false
	}
	now := was
	now.Lflag &^= syscall.ECHO
	if !ioctl(f, syscall.TCSETS, &now) {
		return nil, false
	}
	return func() { ioctl(f, syscall.TCSETS, &was) }, true
}

func ioctl(f *os.File, request uintptr, t *syscall.Termios) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	done := false
	err = raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(t)))
		done = errno == 0
	})
	return done && err == nil
}
