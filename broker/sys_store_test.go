package broker

import (
	"strconv"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// TestSysStore: what the disk does is below $SYS/broker/store/.
func TestSysStore(t *testing.T) {
	b, stop := run(t, Config{Data: t.TempDir(), SysInterval: 10 * time.Millisecond})
	defer stop()
	c := pipe(t, b)
	exchange(t, c, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c", SessionExpiry: packet.Some[uint32](60)}, "")
	read(t, c)
	exchange(t, c, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "$SYS/broker/store/#"}}}, "")
	zero := map[string]bool{"queue/records": true, "queue/bytes": true, "queue/undurable": true, "full": true, "failed": true, "damaged": true}
	positive := map[string]bool{"records": true, "fsyncs": true, "bytes/written": true, "fsync/records": true, "fsync/microseconds": true}
	for len(zero)+len(positive) > 0 {
		p, ok := read(t, c).(*packet.Publish)
		if !ok {
			continue // the SUBACK waits for the disk, and messages of QoS 0 do not
		}
		name := string(p.Topic)[len("$SYS/broker/store/"):]
		v, err := strconv.ParseFloat(string(p.Payload), 64)
		if err != nil {
			t.Fatalf("%s: %v", p.Topic, err)
		}
		if v == 0 {
			delete(zero, name)
		} else {
			delete(positive, name)
		}
	}
}
