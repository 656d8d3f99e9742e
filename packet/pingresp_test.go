package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPingresp(t *testing.T) { testPacket(t, packet.TypePingresp) }
