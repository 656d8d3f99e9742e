package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPubrec(t *testing.T) { testPacket(t, packet.TypePubrec) }
