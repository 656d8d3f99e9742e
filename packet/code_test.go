package packet_test

import (
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// The last columns of the table in section 2.4, and the tables of the packets: which code may stand where.
func TestCodeValidIn(t *testing.T) {
	for typ, want := range map[packet.Type]string{
		packet.TypeConnack:    "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f",
		packet.TypePuback:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
		packet.TypePubrec:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
		packet.TypePubrel:     "\x00\x92",
		packet.TypePubcomp:    "\x00\x92",
		packet.TypeSuback:     "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2",
		packet.TypeUnsuback:   "\x00\x11\x80\x83\x87\x8f\x91",
		packet.TypeDisconnect: "\x00\x04\x80\x81\x82\x83\x87\x89\x8b\x8c\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2",
		packet.TypeAuth:       "\x00\x18\x19",
		packet.TypePublish:    "",
	} {
		for c := range 256 {
			if got := packet.Code(c).ValidIn(typ); got != (strings.IndexByte(want, byte(c)) >= 0) {
				t.Errorf("%v in %v: %v", packet.Code(c), typ, got)
			}
		}
	}
}

func TestCodeReturnCode(t *testing.T) {
	for c, want := range map[packet.Code]byte{
		packet.Success: 0, packet.UnsupportedProtocolVersion: 1, packet.ClientIdentifierNotValid: 2,
		packet.ServerUnavailable: 3, packet.ServerBusy: 3, packet.QuotaExceeded: 3, packet.ConnectionRateExceeded: 3,
		packet.BadUserNameOrPassword: 4, packet.NotAuthorized: 5, packet.Banned: 5,
	} {
		if rc, ok := c.ReturnCode(); rc != want || !ok {
			t.Errorf("%v: return code %d, %v; want %d", c, rc, ok, want)
		}
	}
	// A code that 3.1.1 cannot say closes the connection without a CONNACK [3.1.1: MQTT-3.2.2-6].
	for _, c := range []packet.Code{packet.MalformedPacket, packet.ProtocolError, packet.PacketTooLarge} {
		if rc, ok := c.ReturnCode(); ok {
			t.Errorf("%v: return code %d", c, rc)
		}
	}
}

func TestStrings(t *testing.T) {
	named := 0
	for c := range 256 {
		if !strings.HasPrefix(packet.Code(c).String(), "reason code 0x") {
			named++
		}
	}
	if named != 43 {
		t.Errorf("%d codes have names, want 43", named)
	}
	for got, want := range map[string]string{
		packet.KeepAliveTimeout.String(): "Keep Alive timeout",
		packet.Code(0x7f).String():       "reason code 0x7F",
		packet.TypeConnect.String():      "CONNECT",
		packet.TypeAuth.String():         "AUTH",
		packet.Type(16).String():         "invalid type",
		packet.V31.String():              "3.1",
		packet.V311.String():             "3.1.1",
		packet.V5.String():               "5.0",
		packet.Version(9).String():       "unknown version 9",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	err := &packet.Error{Code: packet.MalformedPacket, Clause: "MQTT-3.1.2-3", Msg: "reserved flag set"}
	if got, want := err.Error(), "Malformed Packet: reserved flag set [MQTT-3.1.2-3]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
