package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPuback(t *testing.T) { testPacket(t, packet.TypePuback) }
