package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPubrel(t *testing.T) { testPacket(t, packet.TypePubrel) }
