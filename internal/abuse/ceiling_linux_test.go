//go:build !race

package abuse

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

const (
	subscribers = 1000
	stalled     = 100 // of these
	hungry      = 3   // and these get the flood as well, and read it
	flood       = 200 << 20
	floodSize   = 10 << 10
	floods      = flood / floodSize
	calm        = 50 // messages of QoS 1 for everybody who reads
	patience    = 2 * time.Minute
)

// TestMemoryCeiling: 200 MB are published to a hundred subscribers who read
// nothing, among a thousand. The program stays below what it took at the start,
// 64 MiB, and 32 KiB a connection; the others get everything; and it says for
// whom what was dropped.
func TestMemoryCeiling(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes 200 MB")
	}
	for qos := range byte(2) {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) { ceiling(t, qos) })
	}
}

func ceiling(t *testing.T, qos byte) {
	p := startProgram(t)
	base := p.memory(t, "VmRSS")
	var wg sync.WaitGroup
	failed := make(chan error, subscribers)
	for i := range subscribers {
		who, filters := fmt.Sprint("calm", i), []string{"calm"}
		switch {
		case i < stalled:
			who, filters = fmt.Sprint("stalled", i), []string{"flood"}
		case i < stalled+hungry:
			who, filters = fmt.Sprint("hungry", i), []string{"calm", "flood"}
		}
		c := p.connect(t, who)
		for _, f := range filters {
			c.send(t, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: f, Options: packet.Options{QoS: 1}}}})
			c.want(t, packet.TypeSuback)
		}
		if i >= stalled {
			wg.Go(func() {
				if err := c.readCalm(); err != nil {
					failed <- fmt.Errorf("%s: %w", who, err)
				}
			})
		}
	}
	p.flood(t, qos)
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	peak, limit := p.memory(t, "VmHWM"), base+64<<20+subscribers*(32<<10)
	t.Logf("at the start %d KiB, at most %d KiB, allowed %d KiB", base>>10, peak>>10, limit>>10)
	if peak > limit {
		t.Errorf("the program took %d KiB, allowed are %d KiB", peak>>10, limit>>10)
	}
	p.explains(t)
}

// flood publishes the flood, and the calm messages spread over it.
func (p *program) flood(t *testing.T, qos byte) {
	c := p.connect(t, "publisher")
	payload := make([]byte, floodSize)
	const window = 20
	id, open := uint16(0), 0
	publish := func(topic string, payload []byte, qos byte) {
		k := &packet.Publish{Topic: []byte(topic), Payload: payload, QoS: qos}
		if qos > 0 {
			id = id%1000 + 1
			k.PacketID = id
			open++
		}
		c.send(t, k)
		for ; open >= window; open-- {
			c.want(t, packet.TypePuback)
		}
	}
	for i := range floods {
		if i%(floods/calm) == 0 && i/(floods/calm) < calm {
			publish("calm", fmt.Appendf(nil, "%d", i/(floods/calm)), 1)
		}
		publish("flood", payload, qos)
	}
	for ; open > 0; open-- {
		c.want(t, packet.TypePuback)
	}
}

// readCalm reads until all calm messages have come, in order.
func (c *client) readCalm() error {
	for next := 0; next < calm; {
		k, err := c.receive()
		if err != nil {
			return fmt.Errorf("after %d calm messages: %w", next, err)
		}
		m, ok := k.(*packet.Publish)
		if !ok {
			return fmt.Errorf("%v came", k.Type())
		}
		if m.QoS == 1 {
			if _, err := c.conn.Write((&packet.Puback{PacketID: m.PacketID}).Append(nil, packet.V5)); err != nil {
				return err
			}
		}
		if string(m.Topic) != "calm" {
			continue
		}
		if got := string(m.Payload); got != strconv.Itoa(next) {
			return fmt.Errorf("calm message %s came, want %d", got, next)
		}
		next++
	}
	return nil
}

// explains looks whether $SYS and the log say who lost messages.
func (p *program) explains(t *testing.T) {
	c := p.connect(t, "reader")
	c.send(t, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{
		{Filter: "$SYS/broker/clients/dropped"}, {Filter: "$SYS/broker/publish/messages/dropped"},
	}})
	c.want(t, packet.TypeSuback)
	sum, named := 0, false
	for sum == 0 || !named {
		k, err := c.receive()
		if err != nil {
			t.Fatal("wait for $SYS: ", err)
		}
		m, ok := k.(*packet.Publish)
		switch {
		case !ok:
		case strings.HasSuffix(string(m.Topic), "clients/dropped"):
			var list []map[string]any
			if err := json.Unmarshal(m.Payload, &list); err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				if !strings.HasPrefix(e["client"].(string), "stalled") {
					t.Errorf("named as one who lost most: %v", e)
				}
				named = true
			}
		default:
			sum, _ = strconv.Atoi(string(m.Payload))
		}
	}
	select { // $SYS may be there before the log has come through its pipe
	case <-p.said:
	case <-time.After(time.Minute):
		t.Error("the log names nobody for whom messages were dropped")
	}
}

// program is a broker that runs by itself, so that its memory can be told.
type program struct {
	cmd  *exec.Cmd
	addr string
	said chan struct{} // closed when the log has named a stalled client
}

var listening = regexp.MustCompile(`listening on mqtt://(\S+)`)

// startProgram runs it, by a command that gets its command line if there is one.
func startProgram(t *testing.T, by ...string) *program {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "nightjar")
	build := exec.Command("go", "build", "-o", bin, "./cmd/nightjar")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	line := append(by, bin, "serve", "--listen", "mqtt://127.0.0.1:0", "--data", filepath.Join(dir, "data"))
	p := &program{cmd: exec.Command(line[0], line[1:]...), said: make(chan struct{})}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, ended := make(chan string, 1), make(chan struct{})
	var last []string
	named := sync.OnceFunc(func() { close(p.said) })
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			if m := listening.FindStringSubmatch(s.Text()); m != nil {
				addr <- m[1]
			}
			if strings.Contains(s.Text(), "dropped") && strings.Contains(s.Text(), "stalled") {
				named()
			}
			last = append(last[max(0, len(last)-20):], s.Text())
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-ended
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("the program said at last:\n%s", strings.Join(last, "\n"))
		}
	})
	select {
	case p.addr = <-addr:
	case <-ended:
		t.Fatal("the program ended at its start")
	case <-time.After(patience):
		t.Fatal("the program does not say where it listens")
	}
	return p
}

// memory reads a line of the program's status, in bytes.
func (p *program) memory(t *testing.T, line string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", line, text)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// client is a connection that does what it is told.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func (p *program) connect(t *testing.T, id string) *client {
	t.Helper()
	return p.join(t, &packet.Connect{Version: packet.V5, ClientID: id, CleanStart: true})
}

func (p *program) join(t *testing.T, k *packet.Connect) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(patience))
	c := &client{conn, bufio.NewReaderSize(conn, 4<<10)}
	c.send(t, k)
	c.want(t, packet.TypeConnack)
	return c
}

func (c *client) send(t *testing.T, k packet.Packet) {
	t.Helper()
	if _, err := c.conn.Write(k.Append(nil, packet.V5)); err != nil {
		t.Fatal(err)
	}
}

func (c *client) want(t *testing.T, want packet.Type) packet.Packet {
	t.Helper()
	k, err := c.receive()
	if err != nil || k.Type() != want {
		t.Fatalf("wait for %v: %v %v", want, k, err)
	}
	return k
}

func (c *client) receive() (packet.Packet, error) {
	for n := 2; ; n++ {
		head, err := c.r.Peek(n)
		if err != nil {
			return nil, err
		}
		h, ok, err := packet.ReadHeader(head)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		raw := make([]byte, h.Size+h.Remaining)
		if _, err := io.ReadFull(c.r, raw); err != nil {
			return nil, err
		}
		return packet.Decode(h, raw[h.Size:], packet.V5)
	}
}
