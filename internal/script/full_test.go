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
	full  atomic.Bool
	next  atomic.Int64 // which submission from now on finds it full, which it was not a moment before; 0: none
	risen func(store.Ticket, error)
}

func (d *fullDisk) OnDurable(f func(store.Ticket, error)) { d.risen = f }

func (d *fullDisk) Submit(recs ...store.Record) (store.Ticket, error) {
	if err := d.Refusal(); err != nil {
		return 0, err
	}
	if d.next.Load() > 0 && d.next.Add(-1) == 0 {
		d.full.Store(true)
		return 0, store.ErrNoSpace
	}
	t, err := d.Memory.Submit(recs...)
	go d.risen(t, err)
	return t, err
}

func (d *fullDisk) SubmitLater(recs ...store.Record) (store.Ticket, error) { return d.Submit(recs...) }

func (d *fullDisk) Refusal() error {
	if d.full.Load() {
		return store.ErrNoSpace
	}
	return nil
}

// TestPassOnFull: the session of a member ends while the disk is full. What waits for it goes to another member, whose
// session is in memory, when the store can say that it has; once. [MQTT-4.8.2-5]
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

// TestPassOnSuddenlyFull: likewise, when the disk is full just as a member has got what waited. It does not get it again.
// [MQTT-4.8.2-5]
func TestPassOnSuddenlyFull(t *testing.T) {
	disk := &fullDisk{Memory: store.NewMemory()}
	const endStored = 1 // of the submissions that the end of alice's session makes
	stop := func() {
		if !disk.full.Swap(false) {
			disk.next.Store(endStored + 1)
		}
	}
	playStops(t, disk, stop, `
		bob> CONNECT v=5 id=bob clean=1
		bob< CONNACK present=0 code=0x00
		alice> CONNECT v=5 id=alice clean=0 session-expiry=100
		alice< CONNACK present=0 code=0x00
		alice> SUBSCRIBE id=1 $share/g/a qos=1
		alice< SUBACK id=1 codes=0x01
		alice drops
		bob> PUBLISH a "1" qos=1 id=1
		bob< PUBACK id=1
		bob> PUBLISH a "2" qos=1 id=2
		bob< PUBACK id=2
		carol> CONNECT v=5 id=carol clean=1
		carol< CONNACK present=0 code=0x00
		carol> SUBSCRIBE id=1 $share/g/a qos=1
		carol< SUBACK id=1 codes=0x01
		broker stops
		advance 130s
		carol< PUBLISH a "1" qos=1 id=1
		carol<
		broker stops
		advance 10s
		carol< PUBLISH a "2" qos=1 id=2
		carol<`)
	if st := disk.Stats(); disk.next.Load() != 0 || st.Sessions != 0 || st.Queued != 0 {
		t.Errorf("the store has %+v", st)
	}
}

// TestEndInMemoryFull: the session of a member ends with its connection while the disk is full, and the other member of its
// group is in the store. It gets what had been acknowledged to the publisher when there is space again. [MQTT-4.8.2-5]
func TestEndInMemoryFull(t *testing.T) {
	disk := &fullDisk{Memory: store.NewMemory()}
	playFull(t, disk, `
		carol> CONNECT v=5 id=carol clean=0 session-expiry=4000000000
		carol< CONNACK present=0 code=0x00
		carol> SUBSCRIBE id=1 $share/g/a qos=1
		carol< SUBACK id=1 codes=0x01
		carol drops
		alice> CONNECT v=5 id=alice clean=1 receive-maximum=1
		alice< CONNACK present=0 code=0x00
		alice> SUBSCRIBE id=1 $share/g/a qos=1
		alice< SUBACK id=1 codes=0x01
		bob> CONNECT v=5 id=bob clean=1
		bob< CONNACK present=0 code=0x00
		bob> PUBLISH a "1" qos=1 id=1
		bob< PUBACK id=1
		bob> PUBLISH a "2" qos=1 id=2
		bob< PUBACK id=2
		bob> PUBLISH a "3" qos=1 id=3
		bob< PUBACK id=3
		alice< PUBLISH a "1" qos=1 id=1
		broker stops
		alice drops
		advance 20s
		broker stops
		advance 10s
		carol> CONNECT v=5 id=carol clean=0 session-expiry=4000000000
		carol< CONNACK present=1 code=0x00
		carol< PUBLISH a "1" qos=1 id=1
		carol< PUBLISH a "2" qos=1 id=2
		carol< PUBLISH a "3" qos=1 id=3
		carol<`)
}

// playFull plays a script; at each "broker stops" the disk is full, or is not any more.
func playFull(t *testing.T, disk *fullDisk, text string) {
	t.Helper()
	playStops(t, disk, func() { disk.full.Store(!disk.full.Load()) }, text)
}

// playStops plays a script, and calls stop at each "broker stops".
func playStops(t *testing.T, disk *fullDisk, stop func(), text string) {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := assemble(t, disk, nil)
		defer p.stop()
		w := &World{Dial: p.dial, Pass: time.Sleep, Settle: synctest.Wait, Stop: stop}
		if err := Run(s, w); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

const (
	watching = `
		watch> CONNECT v=5 id=watch clean=0 session-expiry=4000000000
		watch< CONNACK present=0 code=0x00
		watch> SUBSCRIBE id=1 will qos=1
		watch< SUBACK id=1 codes=0x01`
	nothingCame = `
		watch> CONNECT v=5 id=watch clean=0 session-expiry=4000000000
		watch< CONNACK present=1 code=0x00
		advance 100s
		watch<`
)

// TestDiscardedWillFull: a client says DISCONNECT while the disk is full, and does not come back. Its will is not published
// when the broker is started anew. [MQTT-3.14.4-3] [MQTT-3.1.2-10]
func TestDiscardedWillFull(t *testing.T) {
	disk := &fullDisk{Memory: store.NewMemory()}
	playFull(t, disk, watching+`
		alice> CONNECT v=5 id=alice clean=0 session-expiry=4000000000 will-topic=will will-qos=1 will-payload=1
		alice< CONNACK present=0 code=0x00
		broker stops
		alice> DISCONNECT
		alice!
		advance 10s
		broker stops
		watch> SUBSCRIBE id=1 x qos=1
		watch< SUBACK id=1 codes=0x01
		advance 10s
		watch<`)
	playFull(t, disk, nothingCame)
}

// TestWillFullOnce: a will of QoS 0 is published while the disk is full, and not again when the broker is started anew.
// [MQTT-3.1.2-10]
func TestWillFullOnce(t *testing.T) {
	disk := &fullDisk{Memory: store.NewMemory()}
	playFull(t, disk, watching+`
		alice> CONNECT v=5 id=alice clean=0 session-expiry=4000000000 will-topic=will will-payload=1
		alice< CONNACK present=0 code=0x00
		broker stops
		alice drops
		watch< PUBLISH will "1"
		advance 10s
		broker stops
		watch> SUBSCRIBE id=1 x qos=1
		watch< SUBACK id=1 codes=0x01
		advance 10s
		watch<`)
	playFull(t, disk, nothingCame)
}

// TestNextWillFull: likewise, but the client is back as soon as there is space, with another will. That one is published when
// the broker has crashed. [MQTT-3.1.2-8]
func TestNextWillFull(t *testing.T) {
	disk := &fullDisk{Memory: store.NewMemory()}
	playFull(t, disk, watching+`
		alice> CONNECT v=5 id=alice clean=0 session-expiry=4000000000 will-topic=will will-qos=1 will-payload=1
		alice< CONNACK present=0 code=0x00
		broker stops
		alice> DISCONNECT
		alice!
		advance 10s
		broker stops
		alice> CONNECT v=5 id=alice clean=0 session-expiry=4000000000 will-topic=will will-qos=1 will-payload=2
		alice< CONNACK present=1 code=0x00
		broker stops`)
	disk.full.Store(false)
	playFull(t, disk, `
		watch> CONNECT v=5 id=watch clean=0 session-expiry=4000000000
		watch< CONNACK present=1 code=0x00
		advance 1s
		watch< PUBLISH will "2" qos=1 id=1
		watch<`)
}

// TestOwedIsSettled: likewise, when nothing else is stored once there is space.
func TestOwedIsSettled(t *testing.T) {
	disk := &fullDisk{Memory: store.NewMemory()}
	playFull(t, disk, `
		alice> CONNECT v=5 id=alice clean=0 session-expiry=4000000000 will-topic=will will-qos=1 will-payload=1
		alice< CONNACK present=0 code=0x00
		broker stops
		alice> DISCONNECT
		alice!
		advance 10s
		broker stops
		advance 10s`)
	err := disk.Sessions(func(s *store.SessionInfo) bool {
		if s.Will != nil || s.Closed == 0 {
			t.Errorf("the store has %+v", s)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
}
