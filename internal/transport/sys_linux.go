package transport

import (
	"os"
	"syscall"
	"unsafe"
)

// The calls here are made without telling the scheduler (RawSyscall): none of
// them may ever block, so descriptors are non-blocking and waiting is left to
// the runtime (see loop.run).

func sysRead(fd int32, p []byte) (int, error) {
	return sysTransfer(syscall.SYS_READ, fd, p)
}

func sysWrite(fd int32, p []byte) (int, error) {
	return sysTransfer(syscall.SYS_WRITE, fd, p)
}

func sysTransfer(trap uintptr, fd int32, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, errAgain
		default:
			return 0, errno
		}
	}
}

// sysPoll returns how many events are ready now.
func sysPoll(ep int, events []syscall.EpollEvent) int {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(ep),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case syscall.EINTR:
		default:
			// Only a bug here can make this call fail.
			panic(os.NewSyscallError("epoll_pwait", errno))
		}
	}
}

// sysClose does not block either: nobody sets SO_LINGER. It takes as long as a
// write, and the scheduler would take the processor away from who waits for it.
func sysClose(fd int32)    { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }
func sysShutdown(fd int32) { syscall.Shutdown(int(fd), syscall.SHUT_WR) }

func newEventfd() (int, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("eventfd", errno)
	}
	return int(fd), nil
}

func signalEventfd(fd int) {
	one := [8]byte{1} // any value but zero, in either byte order
	sysWrite(int32(fd), one[:])
}

func drainEventfd(fd int) {
	var count [8]byte
	sysRead(int32(fd), count[:])
}

func addrOf(sa syscall.Sockaddr) (a addr) {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		copy(a.ip[:], sa.Addr[:])
		a.port, a.ip4 = uint16(sa.Port), true
	case *syscall.SockaddrInet6:
		a.ip, a.port, a.zone, a.ip6 = sa.Addr, uint16(sa.Port), sa.ZoneId, true
	}
	return a
}

func localAddr(fd int32) (addr, bool) {
	sa, err := syscall.Getsockname(int(fd))
	return addrOf(sa), err == nil
}
