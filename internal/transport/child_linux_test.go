package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Memory and processor time of a server can only be told apart from those of
// its clients when it runs in a process of its own: the test binary runs itself
// again, and main becomes child.

// fan sends what a connection says to all others.
type fan struct {
	mu  sync.Mutex
	all []*Conn
}

func (f *fan) open(c *Conn, _ *Batch) Handler {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, c)
	return &speaker{f, c}
}

type speaker struct {
	f *fan
	c *Conn
}

func (s *speaker) Feed(b *Batch, data []byte) (int, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	for _, c := range s.f.all {
		if c != s.c {
			c.Send(b, data)
		}
	}
	return len(data), nil
}
func (s *speaker) Drained(*Batch)       {}
func (s *speaker) Closed(*Batch, error) {}

// quiet is a handler without a memory of its own.
type quiet struct{}

func (quiet) Feed(b *Batch, data []byte) (int, error) { return len(data), nil }
func (quiet) Drained(*Batch)                          {}
func (quiet) Closed(*Batch, error)                    {}

// fewFiles is how many descriptors the child "few" has.
const fewFiles = 40

// child serves until its input ends. Every line of input asks for the memory
// that is not needed to be given back.
func child(mode string) {
	cfg := Config{NewHandler: func(*Conn, *Batch) Handler { return quiet{} }}
	cfg.Loops, _ = strconv.Atoi(os.Getenv("TRANSPORT_LOOPS"))
	if mode == "fan" {
		cfg.NewHandler = new(fan).open
	}
	if mode == "few" {
		cfg.NewHandler = newEcho
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: fewFiles, Max: fewFiles})
	}
	lc := ListenerConfig{Address: "127.0.0.1:0"}
	if mode == "tls" {
		conf := &tls.Config{Certificates: []tls.Certificate{certificate(nil)}}
		lc.TLS = func() *tls.Config { return conf }
	}
	s := New(cfg)
	ln, err := s.Listen(lc)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			debug.FreeOSMemory()
			fmt.Println("done")
		}
		cancel()
	}()
	s.Run(ctx)
}

type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	addr string
}

func spawn(t testing.TB, mode string, loops int) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), "TRANSPORT_CHILD="+mode, "TRANSPORT_LOOPS="+strconv.Itoa(loops))
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	t.Cleanup(func() {
		in.Close()
		p.cmd.Wait()
	})
	p.addr = p.line(t)
	return p
}

func (p *process) line(t testing.TB) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// rss returns the resident bytes after what is free was given back.
func (p *process) rss(t testing.TB) int {
	t.Helper()
	io.WriteString(p.in, "\n")
	p.line(t)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// cpu returns user and system time so far.
func (p *process) cpu(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// TestIdleMemory: an idle connection costs its struct, not buffers or stacks.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	for _, c := range []struct {
		mode    string
		n, most int
	}{{"plain", 4000, 900}, {"tls", 500, 16000}} {
		t.Run(c.mode, func(t *testing.T) {
			var files syscall.Rlimit
			if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); files.Cur < uint64(c.n)+100 {
				t.Skip("too few descriptors")
			}
			p := spawn(t, c.mode, 1)
			r := &rig{kind: kind{network: "tcp", tls: c.mode == "tls"}, addr: p.addr}
			for range 100 { // what a server needs once
				say(t, r)
			}
			before := p.rss(t)
			for range c.n {
				say(t, r)
			}
			each := (p.rss(t) - before) / c.n
			t.Logf("%d bytes resident per idle connection", each)
			if each > c.most {
				t.Errorf("%d bytes per idle connection, want at most %d", each, c.most)
			}
		})
	}
}

// say opens a connection and sends a byte.
func say(t testing.TB, r *rig) {
	if _, err := r.dial(t).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkFanOut: one packet to 1,000 receivers, which all get it before the
// next is sent.
func BenchmarkFanOut(b *testing.B) {
	const receivers = 1000
	for _, loops := range []int{1, 2} {
		b.Run(fmt.Sprint(loops, " loops"), func(b *testing.B) {
			p := spawn(b, "fan", loops)
			r := &rig{kind: kind{network: "tcp"}, addr: p.addr}
			var arrived atomic.Int64
			done := make(chan struct{}, 1)
			for range receivers {
				c := r.dial(b)
				go func() {
					for buf := make([]byte, 64); ; {
						if _, err := io.ReadFull(c, buf); err != nil {
							return
						}
						if arrived.Add(1)%receivers == 0 {
							done <- struct{}{}
						}
					}
				}()
			}
			sender := r.dial(b)
			p.rss(b) // waits until the child has run for a while
			packet := make([]byte, 64)
			before := p.cpu(b)
			for b.Loop() {
				sender.Write(packet)
				<-done
			}
			b.ReportMetric(float64((p.cpu(b)-before).Microseconds())/float64(b.N)/receivers, "server-us/message")
		})
	}
}
