package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestConnack(t *testing.T) { testPacket(t, packet.TypeConnack) }
