//go:build !race

package abuse

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// TestFilesRunOut: so many connections come that the program may open no more files. What it stores needs files too, and
// goes on; and so does everything when they have gone.
func TestFilesRunOut(t *testing.T) {
	const files, crowd, messages, batch = "200", 300, 1600, 20
	p := startProgram(t, "sh", "-c", "ulimit -n "+files+` && exec "$@"`, "sh")
	absent := p.join(t, &packet.Connect{Version: packet.V5, ClientID: "absent", SessionExpiry: packet.Some[uint32](1000)})
	absent.send(t, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "a", Options: packet.Options{QoS: 1}}}})
	absent.want(t, packet.TypeSuback)
	absent.conn.Close()
	c := p.connect(t, "publisher")

	crowded := make([]net.Conn, crowd)
	for i := range crowded {
		conn, err := net.DialTimeout("tcp", p.addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		crowded[i] = conn
		hello := packet.Connect{Version: packet.V5, ClientID: fmt.Sprint("crowd", i), CleanStart: true}
		_, _ = conn.Write(hello.Append(nil, packet.V5)) // it may have been closed
	}
	last := crowded[crowd-1] // it is not left waiting for a file
	last.SetReadDeadline(time.Now().Add(patience))
	if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the last connection of the crowd is not closed: %v", err)
	}
	payload := make([]byte, 16<<10)
	for i := 0; i < messages; i += batch { // three times what the store gathers before it writes a table
		for id := range uint16(batch) {
			c.send(t, &packet.Publish{Topic: []byte("a"), QoS: 1, PacketID: id + 1, Payload: payload})
		}
		for range batch {
			if ack := c.want(t, packet.TypePuback).(*packet.Puback); ack.Code != packet.Success {
				t.Fatalf("message %d: %v", i, ack.Code)
			}
		}
	}
	for _, conn := range crowded {
		conn.Close()
	}
	for end := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(end)
		_, err = conn.Write((&packet.Connect{Version: packet.V5, ClientID: "later", CleanStart: true}).Append(nil, packet.V5))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		conn.Close()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody is served behind the crowd: ", err)
		}
	}
}
