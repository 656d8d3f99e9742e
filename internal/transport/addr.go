package transport

import (
	"net"
	"net/netip"
)

// addr is a socket address in the 24 bytes that every connection keeps. The
// zero value is a Unix socket.
type addr struct {
	ip   [16]byte
	zone uint32
	port uint16
	ip4  bool
	ip6  bool
}

func (a addr) String() string {
	var ip netip.Addr
	switch {
	case a.ip4:
		ip = netip.AddrFrom4([4]byte(a.ip[:4]))
	case a.ip6:
		// An IPv4 peer of a dual-stack socket is shown as what it is.
		ip = netip.AddrFrom16(a.ip).Unmap()
		if a.zone != 0 {
			if ifi, err := net.InterfaceByIndex(int(a.zone)); err == nil {
				ip = ip.WithZone(ifi.Name)
			}
		}
	default:
		return "unix"
	}
	return netip.AddrPortFrom(ip, a.port).String()
}
