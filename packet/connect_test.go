package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestConnect(t *testing.T) { testPacket(t, packet.TypeConnect) }
