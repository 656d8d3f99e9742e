package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nightjarmq/nightjar/client/internal/journal"
)

// The records of the journal. Seq is the number of a message, except with inbound records.
const (
	recordMessage  byte = 1 // time in milliseconds since 1970, 8 bytes, and the PUBLISH of encodeMessage
	recordNumber   byte = 2 // the packet identifier of a QoS 2 message, 2 bytes, before it is sent
	recordTaken    byte = 3 // PUBREC has come
	recordDone     byte = 4 // acknowledged, refused or dropped
	recordInbound  byte = 5 // Seq is the packet identifier of an inbound QoS 2 message that was handed over
	recordReleased byte = 6 // Seq is the packet identifier whose PUBREL has come
)

// compactSlack is how many bytes of the journal may be of no use before it is written anew.
const compactSlack = 1 << 20

// openJournal restores what an earlier Keeper left.
func (k *Keeper) openJournal() error {
	left := make(map[uint64]*queued)
	j, cut, err := journal.Open(k.o.Queue.Journal, func(r journal.Record) error { return k.replay(left, r) })
	if err != nil {
		return err
	}
	k.journal, k.session.records = j, k
	if cut.Bytes > 0 {
		k.o.OnEvent(Event{Kind: JournalCut, Err: fmt.Errorf("%d bytes at the end of %s were no whole record; they are kept in %s",
			cut.Bytes, k.o.Queue.Journal, cut.Saved)})
	}
	for _, q := range sortedBySeq(left) {
		k.out.admit(q.size())
		k.out.push(q)
		k.restoreFlight(q)
	}
	for id := range k.inbound {
		if k.session.received == nil {
			k.session.received = make(map[uint16]*delivery)
		}
		k.session.received[id] = nil
	}
	return nil
}

func sortedBySeq(left map[uint64]*queued) []*queued {
	b := outbox{}
	for _, q := range left {
		q.order = q.seq
		b.waiting = append(b.waiting, q)
	}
	return b.all()
}

// restoreFlight puts a QoS 2 message that may have been sent where the next connection continues its handshake.
func (k *Keeper) restoreFlight(q *queued) {
	if q.id == 0 || q.message.QoS != 2 || k.session.out[q.id] != nil {
		return
	}
	k.out.waiting = k.out.waiting[:len(k.out.waiting)-1]
	k.out.fly(q)
	o := k.session.add(q.id, 2, nil)
	o.queued = q
	if q.taken {
		o.state = awaitComp
		return
	}
	m := *q.message
	m.PacketID = q.id
	o.encoded = m.Append(nil, k.o.Version)
}

// replay applies one record.
func (k *Keeper) replay(left map[uint64]*queued, r journal.Record) error {
	k.seq = max(k.seq, r.Seq)
	q := left[r.Seq]
	switch r.Kind {
	case recordMessage:
		if r.Seq == 0 { // which would mean that the message is not in the journal
			return errors.New("message record without a number")
		}
		if len(r.Data) < 8 {
			return errors.New("message record too short")
		}
		m, err := decodeMessage(r.Data[8:])
		if err != nil {
			return fmt.Errorf("message record: %w", err)
		}
		left[r.Seq] = &queued{keeper: k, message: m, encoded: r.Data[8:], seq: r.Seq,
			since: time.UnixMilli(int64(binary.BigEndian.Uint64(r.Data)))}
	case recordNumber:
		if len(r.Data) != 2 {
			return errors.New("number record of a wrong size")
		}
		if q != nil {
			q.id = binary.BigEndian.Uint16(r.Data)
		}
	case recordTaken:
		if q != nil {
			q.taken = true
		}
	case recordDone:
		delete(left, r.Seq)
	case recordInbound:
		k.inbound[uint16(r.Seq)] = struct{}{}
	case recordReleased:
		delete(k.inbound, uint16(r.Seq))
	default:
		return fmt.Errorf("record of unknown kind %d: it was written by a newer version", r.Kind)
	}
	return nil
}

// record makes an admitted message durable, if it is one that the journal keeps, and lets it be sent.
func (k *Keeper) record(q *queued) error {
	if k.journal == nil || q.message.QoS == 0 {
		k.push(q)
		return nil
	}
	k.mu.Lock()
	k.seq++
	q.seq = k.seq
	k.out.write(q)
	ticket := k.journal.Append(q.messageRecord())
	k.mu.Unlock()
	if err := k.journal.Commit(ticket); err != nil {
		k.mu.Lock()
		delete(k.out.writing, q)
		k.out.leave(q.size())
		k.recordDone(q) // in case that it got there after all
		k.shrunk()
		k.mu.Unlock()
		return err
	}
	k.push(q)
	return nil
}

func (q *queued) messageRecord() journal.Record {
	data := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(q.encoded)), uint64(q.since.UnixMilli()))
	return journal.Record{Kind: recordMessage, Seq: q.seq, Data: append(data, q.encoded...)}
}

func (q *queued) numberRecord() journal.Record {
	return journal.Record{Kind: recordNumber, Seq: q.seq, Data: binary.BigEndian.AppendUint16(nil, q.id)}
}

// recordDone notes the end of a message. It need not be durable at once: if it is lost the message is sent again, QoS 2
// with its number, so that the server knows it. The caller holds the lock.
func (k *Keeper) recordDone(q *queued) {
	if k.journal == nil || q.seq == 0 {
		return
	}
	k.noted = k.journal.Append(journal.Record{Kind: recordDone, Seq: q.seq})
	select {
	case k.wakeJournal <- struct{}{}:
	default:
	}
}

// journalLoop writes what was noted without haste, until ctx ends.
func (k *Keeper) journalLoop(ctx context.Context) {
	for {
		select {
		case <-k.wakeJournal:
			k.commitNoted()
			k.tidy()
		case <-ctx.Done():
			return
		}
	}
}

// commitNoted makes the ends of messages durable.
func (k *Keeper) commitNoted() {
	k.mu.Lock()
	noted := k.noted
	k.mu.Unlock()
	if err := k.journal.Commit(noted); err != nil {
		k.o.OnEvent(Event{Kind: JournalFailed, Err: err})
	}
}

// numberer gives the function that makes the packet identifier of a QoS 2 message durable; nil if it need not be.
func (k *Keeper) numberer(q *queued) func(id uint16) error {
	if q.seq == 0 {
		return nil
	}
	return func(id uint16) error {
		return k.commit(func() []journal.Record {
			q.id, q.taken = id, false
			return []journal.Record{q.numberRecord()}
		})
	}
}

// pubrec is described at sessionRecords.
func (k *Keeper) pubrec(q *queued) error {
	if q.seq == 0 {
		return nil
	}
	return k.commit(func() []journal.Record {
		q.taken = true
		return []journal.Record{{Kind: recordTaken, Seq: q.seq}}
	})
}

// received is described at sessionRecords.
func (k *Keeper) received(life uint64, id uint16, open bool) error {
	return k.commit(func() []journal.Record {
		switch {
		case life != k.life: // the message was held until the server had lost the session
			return nil
		case open:
			k.inbound[id] = struct{}{}
			return []journal.Record{{Kind: recordInbound, Seq: uint64(id)}}
		}
		delete(k.inbound, id)
		return []journal.Record{{Kind: recordReleased, Seq: uint64(id)}}
	})
}

// restart is described at sessionRecords.
func (k *Keeper) restart(life uint64) error {
	return k.commit(func() (list []journal.Record) {
		k.life = life
		for id := range k.inbound {
			list = append(list, journal.Record{Kind: recordReleased, Seq: uint64(id)})
		}
		clear(k.inbound)
		return list
	})
}

// commit changes the state and makes the records of the change durable.
func (k *Keeper) commit(change func() []journal.Record) error {
	var ticket journal.Ticket
	k.mu.Lock()
	for _, r := range change() {
		ticket = k.journal.Append(r)
	}
	k.mu.Unlock()
	if ticket == 0 {
		return nil
	}
	if err := k.journal.Commit(ticket); err != nil {
		k.o.OnEvent(Event{Kind: JournalFailed, Err: err})
		return err
	}
	return nil
}

// tidy writes the journal anew when most of it is of no use.
func (k *Keeper) tidy() {
	k.mu.Lock()
	live := int64(k.out.bytes)
	k.mu.Unlock()
	if k.journal.Size() < 2*live+compactSlack {
		return
	}
	err := k.journal.Compact(func(cut func()) []journal.Record {
		k.mu.Lock()
		defer k.mu.Unlock()
		cut()
		return k.snapshot()
	})
	if err != nil {
		k.o.OnEvent(Event{Kind: JournalFailed, Err: err})
	}
}

// snapshot is the state as records. The caller holds the lock.
func (k *Keeper) snapshot() []journal.Record {
	var list []journal.Record
	for q := range k.out.writing {
		list = append(list, q.messageRecord())
	}
	for _, q := range k.out.all() {
		if q.seq == 0 {
			continue
		}
		list = append(list, q.messageRecord())
		if q.id != 0 {
			list = append(list, q.numberRecord())
		}
		if q.taken {
			list = append(list, journal.Record{Kind: recordTaken, Seq: q.seq})
		}
	}
	for id := range k.inbound {
		list = append(list, journal.Record{Kind: recordInbound, Seq: uint64(id)})
	}
	return list
}
