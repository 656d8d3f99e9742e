package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestSubscribe(t *testing.T) { testPacket(t, packet.TypeSubscribe) }
