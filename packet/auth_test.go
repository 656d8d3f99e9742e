package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestAuth(t *testing.T) { testPacket(t, packet.TypeAuth) }
