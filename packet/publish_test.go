package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPublish(t *testing.T) { testPacket(t, packet.TypePublish) }
