//go:build !race

// Under the race detector everything takes more memory.

package broker_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// What a broker remembers has a budget for each kind, in bytes of the heap and of the disk. Unlike resident memory these are
// the same on every machine, but for some per cent. go test -v -run TestMemoryBudgets ./broker prints them.
func TestMemoryBudgets(t *testing.T) {
	for _, k := range []struct {
		what         string
		n            int
		memory, disk int // bytes of the heap each, when everything is in memory and when it is on disk
		files        int // bytes on the disk each, with room for a log whose content is in a table already
		make         func(t *testing.T, addr string, from, to int)
	}{
		{"connection with a subscription", 2000, 1075, 1075, 0, idleConnections},
		{"session that is away, with a subscription", 1000, 1000, 900, 700, awaySessions},
		{"subscription", 20_000, 600, 550, 150, subscriptions},
		{"retained message of 64 bytes", 20_000, 550, 550, 300, retainedMessages},
		{"queued message of 64 bytes", 20_000, 260, 100, 250, queuedMessages},
	} {
		for _, data := range []string{"", t.TempDir()} {
			where, budget := "in memory", k.memory
			if data != "" {
				where, budget = "on disk", k.disk
			}
			t.Run(k.what+" "+where, func(t *testing.T) {
				addr := start(t, broker.Config{Data: data, MaxQueuedMessages: -1, Loops: 1})
				k.make(t, addr, 0, 50) // what is made once is there
				// A buffer more, or a map that doubles, falls into one batch: what one more costs, it costs in each.
				each, stored := math.MaxInt, math.MaxInt
				for from := 50; from < 50+3*k.n && (each > budget || stored > k.files); from += k.n {
					heap, files := liveHeap(), filesIn(t, data)
					k.make(t, addr, from, from+k.n)
					each, stored = min(each, (liveHeap()-heap)/k.n), min(stored, (filesIn(t, data)-files)/k.n)
				}
				t.Logf("%4d bytes each, budget %d; on disk %d, budget %d", each, budget, stored, k.files)
				if each > budget {
					t.Errorf("%d bytes each, budget %d", each, budget)
				}
				if data != "" && stored > k.files {
					t.Errorf("%d bytes on disk each, budget %d", stored, k.files)
				}
			})
		}
	}
}

func liveHeap() int {
	runtime.GC() // finalizers, and what pools keep for one collection
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func filesIn(t *testing.T, dir string) (total int) {
	if dir == "" {
		return 0
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if os.IsNotExist(err) { // it was compacted away
			return nil
		}
		total += int(info.Size())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// idleConnections are sockets without anything of the runtime on the client's side.
func idleConnections(t *testing.T, addr string, from, to int) {
	fds := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		fds = append(fds, idleConnection(t, addr, i, packet.V311, 0))
	}
	t.Cleanup(func() { closeAll(fds) })
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

func idleConnection(t *testing.T, addr string, i int, v packet.Version, qos byte) (fd int) {
	to, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	hello := &packet.Connect{Version: v, CleanStart: true, ClientID: fmt.Sprintf("device-%06d", i), KeepAlive: 600}
	send(t, fd, hello.Append(nil, v))
	receivePacket(t, fd)
	filter := packet.SubscribeFilter{Filter: fmt.Sprintf("idle/%06d/cmd", i), Options: packet.Options{QoS: qos}}
	send(t, fd, (&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{filter}}).Append(nil, v))
	receivePacket(t, fd)
	return fd
}

func send(t *testing.T, fd int, p []byte) {
	if n, err := syscall.Write(fd, p); n != len(p) {
		t.Fatalf("wrote %d bytes of %d: %v", n, len(p), err)
	}
}

func receive(t *testing.T, fd int, buf []byte) {
	for got := 0; got < len(buf); {
		n, err := syscall.Read(fd, buf[got:])
		if n <= 0 {
			t.Fatalf("read %d bytes of %d: %v", got, len(buf), err)
		}
		got += n
	}
}

// receivePacket reads a packet of less than 130 bytes.
func receivePacket(t *testing.T, fd int) {
	head := make([]byte, 2)
	receive(t, fd, head)
	receive(t, fd, make([]byte, head[1]))
}

func awaySessions(t *testing.T, addr string, from, to int) {
	for i := from; i < to; i++ {
		away(t, addr, fmt.Sprintf("away-%06d", i), packet.SubscribeFilter{Filter: fmt.Sprintf("away/%06d/cmd", i), Options: packet.Options{QoS: 1}})
	}
}

// away makes a session that outlives its connection, and leaves it.
func away(t *testing.T, addr, id string, filters ...packet.SubscribeFilter) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exchange(t, c, (&packet.Connect{Version: packet.V311, ClientID: id}).Append(nil, packet.V311), packet.TypeConnack)
	for len(filters) > 0 {
		now := filters[:min(100, len(filters))]
		exchange(t, c, (&packet.Subscribe{PacketID: 1, Filters: now}).Append(nil, packet.V311), packet.TypeSuback)
		filters = filters[len(now):]
	}
	write(t, c, (&packet.Disconnect{}).Append(nil, packet.V311))
	if n, _ := c.Read(make([]byte, 1)); n > 0 { // the broker has let go
		t.Fatal("something came after DISCONNECT")
	}
}

func subscriptions(t *testing.T, addr string, from, to int) {
	var filters []packet.SubscribeFilter
	for i := from; i < to; i++ {
		filters = append(filters, packet.SubscribeFilter{Filter: fmt.Sprintf("plant/%06d/+/temperature", i)})
	}
	away(t, addr, "subscriber", filters...)
}

func retainedMessages(t *testing.T, addr string, from, to int) {
	publishMany(t, addr, from, to, func(i int) *packet.Publish {
		return &packet.Publish{Topic: fmt.Appendf(nil, "area-%d/device-%d/state", i/1000, i%1000), Retain: true}
	})
}

func queuedMessages(t *testing.T, addr string, from, to int) {
	if from == 0 {
		away(t, addr, "sleeper", packet.SubscribeFilter{Filter: "queue", Options: packet.Options{QoS: 1}})
	}
	publishMany(t, addr, from, to, func(int) *packet.Publish { return &packet.Publish{Topic: []byte("queue")} })
}

// publishMany publishes with QoS 1 and awaits every PUBACK.
func publishMany(t *testing.T, addr string, from, to int, make1 func(i int) *packet.Publish) {
	c := connect(t, addr, packet.V311, "publisher")
	defer c.Close()
	payload := bytes.Repeat([]byte{'x'}, 64)
	var frames []byte
	for i := from; i < to; i++ {
		p := make1(i)
		p.QoS, p.PacketID, p.Payload = 1, uint16(i%60_000+1), payload
		frames = p.Append(frames, packet.V311)
		if open := i%100 + 1; open == 100 || i == to-1 {
			write(t, c, frames)
			read(t, c, make([]byte, 4*min(open, i-from+1)))
			frames = frames[:0]
		}
	}
}
