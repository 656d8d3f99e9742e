package bench

import (
	"net"
	"testing"
	"time"
)

// However late the engine looks, what came counts as having come when it did.
func TestStamped(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	e, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l := &link{fd: -1, state: ready}
	if l.fd, err = l.detach(conn.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := e.add(l); err != nil {
		t.Fatal(err)
	}
	e.stamp()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // the kernel begins to stamp soon after it was asked
		before := e.clock()
		if _, err := peer.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if n, err := e.wait(time.Minute); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		there := e.clock()
		var b [1]byte
		if n, err := (*socket)(l).Read(b[:]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if before <= e.now && e.now <= there {
			return
		}
	}
	t.Error("what comes is not stamped")
}
