package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPubcomp(t *testing.T) { testPacket(t, packet.TypePubcomp) }
