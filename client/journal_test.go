package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// crash copies a journal as the death of the process would leave it now, and gives the path of the copy.
func crash(t *testing.T, path string) string {
	t.Helper()
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return image
}

// What PublishAsync has accepted is there after a crash, except QoS 0, and leaves once; what was acknowledged before a
// regular end does not come back.
func TestJournalSurvives(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	got := receive(t, dial(t, url, client.Options{}), "j/#", 2)
	path := filepath.Join(t.TempDir(), "journal")
	o := client.KeeperOptions{Servers: []string{url}, Queue: client.Queue{Journal: path}}
	o.Dial = (&link{down: true}).connect
	k, _, _ := keeper(t, o)
	for i := range 6 {
		m := &packet.Publish{Topic: []byte("j/1"), QoS: byte(i % 3), Retain: i == 4, Payload: fmt.Append(nil, i)}
		if err := k.PublishAsync(deadline(t), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.NewKeeper(o); err == nil {
		t.Error("two Keepers have one journal")
	}
	o = client.KeeperOptions{Servers: []string{url}, Queue: client.Queue{Journal: crash(t, path)}}
	k, _, stop := keeper(t, o)
	for _, i := range []int{1, 2, 4, 5} {
		want(t, got, fmt.Sprintf("j/1 %d false %d", i%3, i))
	}
	if err := k.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	k, err := client.NewKeeper(o)
	if err != nil || k.Pending() != 0 {
		t.Error(err, "left:", k.Pending())
	}
}

// However often the sender dies, and wherever its link breaks, each QoS 2 message that was accepted arrives once, in order
// [MQTT-4.3.3-1], [MQTT-4.1.0-1].
func TestJournalExactlyOnceOverCrashes(t *testing.T) {
	servers(t, func(t *testing.T, url string) {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			t.Run(v.String(), func(t *testing.T) {
				const lives, each = 12, 25
				got := newNumbers()
				sub := dial(t, url, client.Options{})
				if _, err := sub.Subscribe(deadline(t), client.To("crash/"+v.String(), 2), got.handle); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(t.TempDir(), "journal")
				for life := range lives {
					l := &link{limit: 250 + 50*life}
					o := client.KeeperOptions{Servers: []string{url}, Queue: client.Queue{Journal: path}}
					o.Version, o.ClientID, o.Resume, o.Dial = v, "crasher"+v.String(), true, l.connect
					o.SessionExpiry, o.Inflight = packet.Some[uint32](100), 5
					k, events, stop := keeper(t, o)
					for i := range each {
						m := &packet.Publish{Topic: []byte("crash/" + v.String()), QoS: 2, Payload: fmt.Append(nil, life*each+i)}
						if err := k.PublishAsync(deadline(t), m, nil); err != nil {
							t.Fatal(err)
						}
					}
					event(t, events, client.Disconnected)
					if life == lives-1 {
						l.set(func() { l.limit = 0 })
						if err := k.Flush(deadline(t)); err != nil {
							t.Fatal(err)
						}
					}
					l.cut()
					path = crash(t, path)
					stop()
				}
				check(t, got.await(t, lives*each-1), lives*each, false)
			})
		}
	})
}

// A QoS 2 message whose PUBREC was sent is not handed over again after a crash, and its number is free after PUBREL and
// when the server has lost the session [MQTT-4.3.3-10], [MQTT-4.3.3-12].
func TestJournalInbound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	got := make(chan string, 10)
	live := func(present bool, script func(p *peer)) {
		t.Helper()
		near, far := net.Pipe()
		first := true
		o := client.KeeperOptions{Servers: []string{"mqtt://x"}, Queue: client.Queue{Journal: path}}
		o.ClientID, o.Resume = "in", true
		o.Handler = func(_ context.Context, m *packet.Publish) { got <- text(m) }
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			if !first {
				return nil, errors.New("no more")
			}
			first = false
			return near, nil
		}
		_, _, stop := keeper(t, o)
		p := &peer{t: t, conn: far, v: packet.V5}
		p.expect("CONNECT")
		p.send(&packet.Connack{SessionPresent: present})
		script(p)
		path = crash(t, path)
		far.Close()
		stop()
	}
	live(true, func(p *peer) {
		p.send(message(7, 2, "once"))
		p.expect("PUBREC 7")
	})
	live(true, func(p *peer) {
		again := message(7, 2, "once")
		again.Dup = true
		p.send(again)
		p.expect("PUBREC 7")
		p.send(&packet.Pubrel{PacketID: 7})
		p.expect("PUBCOMP 7 00")
	})
	live(true, func(p *peer) {
		p.send(message(7, 2, "other"))
		p.expect("PUBREC 7")
	})
	live(false, func(p *peer) { // the server has forgotten everything
		p.send(new(packet.Pingresp)) // is read after CONNACK was acted on
	})
	live(true, func(p *peer) {
		p.send(message(7, 2, "in the new session"))
		p.expect("PUBREC 7")
	})
	want(t, got, "PUBLISH 7 q2 once p")
	want(t, got, "PUBLISH 7 q2 other p")
	want(t, got, "PUBLISH 7 q2 in the new session p")
	if len(got) != 0 {
		t.Error("handed over again:", <-got)
	}
}

// The file does not grow with what is done, and what is left survives the compaction.
func TestJournalStaysSmall(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	path := filepath.Join(t.TempDir(), "journal")
	o := client.KeeperOptions{Servers: []string{url}, Queue: client.Queue{Journal: path, MaxMessages: 20}}
	l := new(link)
	o.Dial = l.connect
	k, _, _ := keeper(t, o)
	payload := make([]byte, 100<<10)
	for i := range 150 {
		m := &packet.Publish{Topic: []byte("big"), QoS: byte(1 + i%2), Payload: payload}
		if err := k.PublishAsync(deadline(t), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	l.cut()
	for i := range 3 {
		if err := k.PublishAsync(deadline(t), &packet.Publish{Topic: []byte("rest"), QoS: 1, Payload: fmt.Append(nil, i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 9<<20 { // 15 MB went through; live were 2 MB at most
		t.Error(err, info.Size())
	}
	o.Queue.Journal, o.Dial = crash(t, path), nil
	got := receive(t, dial(t, url, client.Options{}), "rest", 1)
	keeper(t, o)
	for i := range 3 {
		want(t, got, fmt.Sprintf("rest 1 false %d", i))
	}
}

// A damaged end is cut, kept beside, and told.
func TestJournalDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	o := client.KeeperOptions{Servers: []string{"mqtt://x"}, Queue: client.Queue{Journal: path}}
	o.Dial = (&link{down: true}).connect
	k, _, stop := keeper(t, o)
	for range 3 {
		if err := k.PublishAsync(deadline(t), message(0, 1, "a"), nil); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	all, _ := os.ReadFile(path)
	if err := os.WriteFile(path, all[:len(all)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	k, events, _ := keeper(t, o)
	if e := event(t, events, client.JournalCut); e.Err == nil || k.Pending() != 2 {
		t.Error(e, k.Pending())
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}

// Many publishers share the syncs and all get through.
func TestJournalConcurrentPublishers(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	o := client.KeeperOptions{Servers: []string{url}, Queue: client.Queue{Journal: filepath.Join(t.TempDir(), "journal")}}
	k, _, _ := keeper(t, o)
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			for range 10 {
				if err := k.Publish(deadline(t), message(0, byte(1+i%2), fmt.Sprint("many/", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if k.Pending() != 0 {
		t.Error(k.Pending())
	}
}

// BenchmarkJournal measures what PublishAsync costs when it is durable, alone and with many publishers.
func BenchmarkJournal(b *testing.B) {
	o := client.KeeperOptions{Servers: []string{"mqtt://x"}, MinPause: time.Hour, Queue: client.Queue{MaxMessages: 1 << 30, MaxBytes: 1 << 40}}
	o.Dial = (&link{down: true}).connect
	for _, publishers := range []int{1, 100} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			o.Queue.Journal = filepath.Join(b.TempDir(), "journal")
			k, _, _ := keeper(b, o)
			b.SetParallelism(publishers)
			b.RunParallel(func(pb *testing.PB) {
				m := &packet.Publish{Topic: []byte("bench"), QoS: 1, Payload: make([]byte, 64)}
				for pb.Next() {
					if err := k.PublishAsync(context.Background(), m, nil); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
