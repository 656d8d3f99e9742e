package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestSuback(t *testing.T) { testPacket(t, packet.TypeSuback) }
