package bridges

import (
	"net"
	"syscall"
	"testing"
)

// The connection to the other broker has the limits that the block says.
func TestTCPOptions(t *testing.T) {
	c := load(t, "mosquitto.conf", "connection far\naddress 127.0.0.1\ntopic #\nbridge_tcp_user_timeout 7000\nbridge_tcp_keepalive 60 10 5\nbridge_bind_address 127.0.0.2\n")
	bc, err := convert(&c.Bridges[0], "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := bc.Dialer.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if ip := conn.LocalAddr().(*net.TCPAddr).IP.String(); ip != "127.0.0.2" {
		t.Errorf("connected from %s", ip)
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{tcpUserTimeout: 7000, syscall.TCP_KEEPIDLE: 60, syscall.TCP_KEEPINTVL: 10, syscall.TCP_KEEPCNT: 5} {
		err := raw.Control(func(fd uintptr) {
			if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, option); err != nil || got != want {
				t.Errorf("option %d is %d, %v, want %d", option, got, err, want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
