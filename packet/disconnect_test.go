package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestDisconnect(t *testing.T) { testPacket(t, packet.TypeDisconnect) }
