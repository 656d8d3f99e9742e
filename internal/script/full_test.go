package script

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/internal/store"
)

// fullDisk is a store that takes nothing while it is full.
type fullDisk struct {
	*store.Memory
	full atomic.Bool
}

func (d *fullDisk) Submit(recs ...store.Record) (store.Ticket, error) {
	if err := d.Refusal(); err != nil {
		return 0, err
	}
	return d.Memory.Submit(recs...)
}

func (d *fullDisk) SubmitLater(recs ...store.Record) (store.Ticket, error) { return d.Submit(recs...) }

func (d *fullDisk) Refusal() error {
	if d.full.Load() {
		return store.ErrNoSpace
	}
	return nil
}

// TestPassOnFull: the session of a member ends while the disk is full. What waits for it goes to another member, whose
// session is in memory, when the store can say that it has; once. [MQTT-4.8.2-5] [MQTT-4.3.3-2]
func TestPassOnFull(t *testing.T) {
	disk := &fullDisk{Memory: store.NewMemory()}
	playFull(t, disk, `
		bob> CONNECT v=5 id=bob clean=1
		bob< CONNACK present=0 code=0x00
		alice> CONNECT v=5 id=alice clean=0 session-expiry=100 receive-maximum=1
		alice< CONNACK present=0 code=0x00
		alice> SUBSCRIBE id=1 $share/g/a qos=2
		alice< SUBACK id=1 codes=0x02
		alice drops
		bob> PUBLISH a "1" qos=2 id=1
		bob< PUBREC id=1
		bob> PUBLISH a "2" qos=1 id=2
		bob< PUBACK id=2
		carol> CONNECT v=5 id=carol clean=1
		carol< CONNACK present=0 code=0x00
		carol> SUBSCRIBE id=1 $share/g/a qos=2
		carol< SUBACK id=1 codes=0x02
		broker stops
		advance 130s
		broker stops
		advance 10s
		carol< PUBLISH a "1" qos=2 id=1
		carol< PUBLISH a "2" qos=1 id=2
		carol<`)
	if st := disk.Stats(); st.Sessions != 0 || st.Queued != 0 {
		t.Errorf("the store has %+v", st)
	}
}

// playFull plays a script; at each "broker stops" the disk is full, or is not any more.
func playFull(t *testing.T, disk *fullDisk, text string) {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := assemble(t, disk, nil)
		defer p.stop()
		w := &World{
			Dial: p.dial, Pass: time.Sleep, Settle: synctest.Wait,
			Stop: func() { disk.full.Store(!disk.full.Load()) },
		}
		if err := Run(s, w); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}
