package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// records has each record with all its fields set, and with none.
func records() []Record {
	m := &message.Message{Topic: "a/b", Payload: []byte("hello"), Props: []byte{1, 1}, Expires: 1700000000000, QoS: 2, Retain: true}
	return []Record{
		&SessionOpened{Session: 1, Epoch: 2, ClientID: "c", User: "u", Expiry: math.MaxUint32, Will: &Will{Message: m, Expiry: packet.Opt[uint32]{Value: 300, Set: true}, Delay: 5}, Time: 1700000000000},
		&SessionOpened{Will: &Will{Message: &message.Message{}}},
		&SessionOpened{Will: &Will{Message: &message.Message{}, Expiry: packet.Opt[uint32]{Set: true}}},
		&SessionOpened{},
		&SessionClosed{Session: 300, Expiry: 70000, KeepWill: true, Time: -1},
		&SessionClosed{},
		&SessionRemoved{Session: math.MaxUint64},
		&WillTaken{Session: 1},
		&Subscribed{Session: 1, Filter: "$share/g/a/#", Options: packet.Options{QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}, ID: 268435455},
		&Subscribed{},
		&Unsubscribed{Session: 1, Filter: "a/#"},
		&Published{Seq: 9, Message: m, Retain: true, From: 4, FromID: 65535, To: []Recipient{
			{Session: 1, Epoch: 2, PacketID: 3, QoS: 1, Retain: true, IDs: []uint32{1, 268435455}},
			{Session: 2, QoS: 2},
		}},
		&Published{Seq: 9, Message: m, To: []Recipient{{Session: 1, QoS: 1, Share: "g/a/#"}, {Session: 2, QoS: 2}}},
		&Published{Message: &message.Message{}},
		&Sent{Session: 1, Seq: math.MaxUint64, PacketID: 65535},
		&Received{Session: 1, Seq: 2, PacketID: 3},
		&Done{Session: 1, Seq: 2},
		&Incoming{Session: 1, PacketID: 2},
		&Released{Session: 1, PacketID: 2},
	}
}

func TestRecordCodec(t *testing.T) {
	for _, r := range records() {
		t.Run(fmt.Sprintf("%T", r), func(t *testing.T) {
			b := AppendRecord([]byte("in front"), r)[len("in front"):]
			got, n, err := DecodeRecord(append(bytes.Clone(b), "behind"...))
			if err != nil || n != len(b) || !reflect.DeepEqual(got, r) {
				t.Fatalf("decode(encode(x)) = %+v, %d, %v; want %+v, %d", got, n, err, r, len(b))
			}
			for i := range b {
				if got, _, err := DecodeRecord(b[:i]); !errors.Is(err, ErrDamagedRecord) {
					t.Errorf("the first %d of %d bytes decode to %+v, %v", i, len(b), got, err)
				}
			}
		})
	}
}

// The bytes are on disks and in logs: they must not change.
func TestRecordFormat(t *testing.T) {
	cases := []struct {
		r    Record
		want string
	}{
		{&Done{Session: 1, Seq: 300}, "\x0a\x01\xac\x02"},
		{&Sent{Session: 1, Seq: 2, PacketID: 65535}, "\x08\x01\x02\xff\xff\x03"},
		{&Unsubscribed{Session: 1, Filter: "a"}, "\x06\x01\x01a"},
		{&Subscribed{Session: 1, Filter: "a", Options: packet.Options{QoS: 1, NoLocal: true, RetainHandling: 2}, ID: 7}, "\x05\x01\x01a\x01\x01\x00\x02\x07"},
		{&Published{Seq: 1, Message: &message.Message{Topic: "t", Payload: []byte("pp"), QoS: 1}, To: []Recipient{{Session: 2, Epoch: 3, PacketID: 4, QoS: 1, IDs: []uint32{5}}}},
			"\x07\x01\x01t\x02pp\x00\x00\x01\x00\x00\x01\x02\x03\x04\x01\x00\x01\x05\x00\x00"},
		{&Published{Seq: 1, Message: &message.Message{Topic: "t"}, To: []Recipient{{Session: 2, QoS: 1, Share: "g/t"}}}, "\x0d\x01\x01t\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x01\x00\x00\x03g/t\x00\x00"},
		{&SessionOpened{Session: 1, Epoch: 2, ClientID: "c", Expiry: 3, Time: 4}, "\x01\x01\x02\x01c\x00\x03\x00\x04"},
		{&SessionOpened{Session: 1, Will: &Will{Message: &message.Message{Topic: "w", Payload: []byte("p")}, Expiry: packet.Opt[uint32]{Value: 9, Set: true}, Delay: 7}},
			"\x01\x01\x00\x00\x00\x00\x01\x01w\x01p\x00\x00\x00\x00\x01\x09\x07\x00"},
		{&SessionClosed{Session: 1, Expiry: 2, KeepWill: true, Time: 3}, "\x02\x01\x02\x01\x03"},
	}
	for _, c := range cases {
		if got := AppendRecord(nil, c.r); string(got) != c.want {
			t.Errorf("%T is written as %q, want %q", c.r, got, c.want)
		}
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	cases := []struct {
		name string
		b    string
		want error
	}{
		{"no bytes", "", ErrDamagedRecord},
		{"kind 0", "\x00\x01", ErrUnknownRecord},
		{"a kind of the future", "\xf0\x01", ErrUnknownRecord},
		{"number in more bytes than it needs", "\x03\x81\x00", ErrDamagedRecord},
		{"number of more than 64 bits", "\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", ErrDamagedRecord},
		{"packet identifier of more than 16 bits", "\x0b\x01\x80\x80\x04", ErrDamagedRecord},
		{"flag that is 2", "\x02\x01\x02\x02\x03", ErrDamagedRecord},
		{"QoS 3", "\x05\x01\x01a\x03\x01\x00\x02\x07", ErrDamagedRecord},
		{"filter longer than what is there", "\x06\x01\xff\xff\xff\xff\x07a", ErrDamagedRecord},
		{"more recipients than bytes", "\x07\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x07", ErrDamagedRecord},
	}
	for _, c := range cases {
		if r, n, err := DecodeRecord([]byte(c.b)); !errors.Is(err, c.want) || r != nil || n != 0 {
			t.Errorf("%s: %+v, %d, %v; want %v", c.name, r, n, err, c.want)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range records() {
		f.Add(AppendRecord(nil, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, n, err := DecodeRecord(b)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(8*len(b)+64<<10) {
			t.Errorf("%d bytes made it allocate %d", len(b), grown)
		}
		if err != nil {
			return
		}
		again := AppendRecord(nil, r)
		if !bytes.Equal(again, b[:n]) {
			t.Fatalf("%q decodes to %+v, which is written as %q", b[:n], r, again)
		}
		twice, _, err := DecodeRecord(again)
		if err != nil || !reflect.DeepEqual(twice, r) {
			t.Fatalf("%+v comes back as %+v, %v", r, twice, err)
		}
	})
}

// FuzzDecodeKept: messages and wills as they lie in a store.
func FuzzDecodeKept(f *testing.F) {
	m := &message.Message{Topic: "a/b", Payload: []byte("x"), Props: []byte("\x01\x01"), Expires: 12345, QoS: 2, Retain: true}
	f.Add(AppendMessage(nil, m))
	f.Add(AppendWill(nil, &Will{Message: m, Delay: 7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := DecodeMessage(b); err == nil {
			if again := AppendMessage(nil, m); !bytes.Equal(again, b) {
				t.Errorf("%q decodes to %+v, which is written as %q", b, m, again)
			}
		}
		if w, err := DecodeWill(b); err == nil && w != nil {
			if again := AppendWill(nil, w); !bytes.Equal(again, b) {
				t.Errorf("%q decodes to %+v, which is written as %q", b, w, again)
			}
		}
	})
}

// published is the first such record.
func published() Record {
	all := records()
	return all[slices.IndexFunc(all, func(r Record) bool { _, ok := r.(*Published); return ok })]
}

// TestMessageExpires: it reads what DecodeMessage reads, and refuses what that refuses.
func TestMessageExpires(t *testing.T) {
	b := AppendMessage(nil, &message.Message{Topic: "a/b", Payload: []byte("xyz"), Props: []byte{1, 2}, Expires: 1 << 40, QoS: 2, Retain: true})
	if at, err := MessageExpires(b); at != 1<<40 || err != nil {
		t.Errorf("%d, %v", at, err)
	}
	for n := range b {
		if _, err := MessageExpires(b[:n]); !errors.Is(err, ErrDamagedRecord) {
			t.Errorf("of the first %d bytes: %v", n, err)
		}
	}
	if _, err := MessageExpires(append(b, 0)); !errors.Is(err, ErrDamagedRecord) {
		t.Errorf("with a byte too many: %v", err)
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	var dst []byte
	r := published()
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendRecord(dst[:0], r)
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	src := AppendRecord(nil, published())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeRecord(src); err != nil {
			b.Fatal(err)
		}
	}
}

// TestWritingOnlyReads: a message is immutable and is written to the store while
// others send it. The race detector is the judge.
func TestWritingOnlyReads(t *testing.T) {
	m := &message.Message{Topic: "a", Payload: []byte("1"), QoS: 1, Retain: true}
	want := AppendMessage(nil, m)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if got := AppendMessage(nil, m); !bytes.Equal(got, want) {
				t.Errorf("got % x, want % x", got, want)
			}
		})
	}
	wg.Wait()
}
