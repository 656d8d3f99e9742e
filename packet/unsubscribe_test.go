package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestUnsubscribe(t *testing.T) { testPacket(t, packet.TypeUnsubscribe) }
