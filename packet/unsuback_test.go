package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestUnsuback(t *testing.T) { testPacket(t, packet.TypeUnsuback) }
