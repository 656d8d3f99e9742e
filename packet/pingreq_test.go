package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPingreq(t *testing.T) { testPacket(t, packet.TypePingreq) }
