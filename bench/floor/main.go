// Command floor does the least that a broker can do: it takes the bytes of publishers to subscribers without looking at
// them. It is no broker. What it costs is what the kernel asks for the same connections, reads, writes and waits, so that
// a reader of the table sees how much of a broker's figure is its own.
//
// It knows only what nightjar bench does: a clean start in MQTT 3.1.1, one filter a SUBSCRIBE, and clients whose
// identifiers end in "-pub-" or "-sub-" and a number. With as many subscribers as publishers each number is a pair, and else
// everything goes to every subscriber. One thread does everything: an epoll, a read for each socket that has something,
// and a write for each that got something. With -sync it writes what publishers say to a file and syncs that before it passes
// anything on, once for all who were ready to be read, and prints how long the fsyncs took when it is told to end: nothing
// that acknowledges after an fsync can do less.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

func main() {
	tcp := flag.String("tcp", "127.0.0.1:1883", "address, of IPv4, to listen on")
	name := flag.String("sync", "", "file to write and sync before anything is passed on")
	flag.Parse()
	debug.SetGCPercent(-1)
	r := &relay{peers: make(map[int32]*peer), subs: make(map[int]*peer), pubs: make(map[int]*peer), buf: make([]byte, 64<<10)}
	var err error
	if *name != "" {
		r.log, err = newDisk(*name)
	}
	if err == nil {
		err = r.serve(*tcp)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// peer is a connection.
type peer struct {
	fd      int
	number  int // at the end of the client identifier
	to      []*peer
	flowing bool // connected and, if it subscribes, subscribed: its bytes are for others
	out     []byte
	dirty   bool
}

type relay struct {
	ep, ln     int
	peers      map[int32]*peer
	subs, pubs map[int]*peer // by number
	dirty      []*peer
	buf        []byte
	log        *disk // nil: nothing is synced
}

func (r *relay) serve(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if r.ln, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	if err = syscall.SetsockoptInt(r.ln, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err = syscall.Bind(r.ln, &syscall.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		return fmt.Errorf("bind %v: %w", at, err)
	}
	if err = syscall.Listen(r.ln, 4096); err != nil {
		return err
	}
	if r.ep, err = syscall.EpollCreate1(0); err != nil {
		return err
	}
	if err = r.watch(r.ln); err != nil {
		return err
	}
	return r.run()
}

func (r *relay) watch(fd int) error {
	return syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// run never tells the scheduler that it waits: there is nothing else in this process.
func (r *relay) run() error {
	events := make([]syscall.EpollEvent, 128)
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(r.ep), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), ^uintptr(0), 0, 0)
		if errno != 0 && errno != syscall.EINTR {
			return errno
		}
		if errno != 0 {
			continue
		}
		for _, ev := range events[:n] {
			if int(ev.Fd) == r.ln {
				if err := r.accept(); err != nil {
					return err
				}
			} else if p := r.peers[ev.Fd]; p != nil && !r.readable(p) {
				r.end(p)
			}
		}
		if r.log != nil {
			if err := r.log.sync(); err != nil {
				return err
			}
		}
		for _, p := range r.dirty {
			p.dirty = false
			r.flush(p)
		}
		r.dirty = r.dirty[:0]
	}
}

func (r *relay) accept() error {
	for {
		fd, _, err := syscall.Accept4(r.ln, syscall.SOCK_NONBLOCK)
		if errors.Is(err, syscall.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		if err := r.watch(fd); err != nil {
			return err
		}
		r.peers[int32(fd)] = &peer{fd: fd}
	}
}

func call(trap uintptr, fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// readable reports whether the connection goes on.
func (r *relay) readable(p *peer) bool {
	n, errno := call(syscall.SYS_READ, p.fd, r.buf)
	if errno == syscall.EAGAIN || errno == syscall.EINTR {
		return true
	}
	if errno != 0 || n == 0 {
		return false
	}
	b := r.buf[:n]
	if !p.flowing {
		return r.greet(p, b)
	}
	if p.to == nil {
		r.route(p)
	}
	if r.log != nil && r.pubs[p.number] == p {
		r.log.pending = append(r.log.pending, b...)
	}
	for _, to := range p.to {
		r.send(to, b)
	}
	return true
}

// greet answers a CONNECT or a SUBSCRIBE, which come by themselves: the client waits for the answer.
func (r *relay) greet(p *peer, b []byte) bool {
	switch b[0] >> 4 {
	case 1:
		r.send(p, []byte{0x20, 2, 0, 0})
		for kind, peers := range map[string]map[int]*peer{"-pub-": r.pubs, "-sub-": r.subs} {
			if _, digits, ok := bytes.Cut(b, []byte(kind)); ok {
				p.number, _ = strconv.Atoi(strings.TrimRight(string(digits), "\x00"))
				peers[p.number] = p
				p.flowing = kind == "-pub-"
			}
		}
	case 8:
		r.send(p, []byte{0x90, 3, b[2], b[3], b[len(b)-1]})
		p.flowing = true
	default:
		return false
	}
	return true
}

// route decides who gets what p says: its pair, in both directions, or all subscribers.
func (r *relay) route(p *peer) {
	switch {
	case len(r.subs) == len(r.pubs) && r.pubs[p.number] == p:
		p.to = []*peer{r.subs[p.number]}
	case r.pubs[p.number] == p:
		for _, s := range r.subs {
			p.to = append(p.to, s)
		}
	case len(r.subs) == len(r.pubs) && r.subs[p.number] == p:
		p.to = []*peer{r.pubs[p.number]}
	}
}

func (r *relay) send(p *peer, b []byte) {
	p.out = append(p.out, b...)
	if !p.dirty {
		p.dirty = true
		r.dirty = append(r.dirty, p)
	}
}

// flush writes what the socket takes. The load has a window, so that its sockets take everything.
func (r *relay) flush(p *peer) {
	for len(p.out) > 0 && r.peers[int32(p.fd)] == p {
		n, errno := call(syscall.SYS_WRITE, p.fd, p.out)
		switch errno {
		case 0:
			p.out = p.out[:copy(p.out, p.out[n:])]
		case syscall.EAGAIN, syscall.EINTR:
		default:
			r.end(p)
		}
	}
}

func (r *relay) end(p *peer) {
	delete(r.peers, int32(p.fd))
	for _, peers := range []map[int]*peer{r.pubs, r.subs} {
		if peers[p.number] == p {
			delete(peers, p.number)
		}
	}
	syscall.Close(p.fd)
}
