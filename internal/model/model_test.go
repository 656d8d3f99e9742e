package model

import (
	"context"
	"flag"
	"net"
	"os"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/store/disk"
	"github.com/nightjarmq/nightjar/packet"
	"pgregory.net/rapid"
)

// TestMain sets which sequences are played, and how many, unless the command line
// does.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" || f.Name == "rapid.seed" })
	if !given {
		flag.Set("rapid.checks", "2000") // a fifth of it with -short
		flag.Set("rapid.seed", "1")      // the same for every change: it answers for itself, not for its luck
	}
	flag.Set("rapid.shrinktime", "0s") // judge does that better
	os.Exit(m.Run())
}

// TestPipe plays sequences in process, where time is under control.
func TestPipe(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		judge(rt, func(steps []Step) (talk string, err error) {
			synctest.Test(t, func(t *testing.T) {
				b, stop := start(t, pipe())
				defer stop()
				talk, err = Play(&World{Dial: b.Pipe, Settle: synctest.Wait, Pass: time.Sleep}, steps)
			})
			return talk, err
		})
	})
}

// TestRestart is TestPipe, for a few of the sequences, with a broker that keeps its state on the disk and is
// started again and again.
func TestRestart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		if !one(rt, "turn", 20) {
			return // disks are slow
		}
		judge(rt, func(steps []Step) (talk string, err error) {
			synctest.Test(t, func(t *testing.T) {
				cfg := pipe()
				cfg.Data, cfg.Durability = t.TempDir(), disk.None // the file system forgets nothing
				b, stop := start(t, cfg)
				defer func() { stop() }()
				talk, err = Play(&World{
					Dial: func() (net.Conn, error) { return b.Pipe() }, Settle: synctest.Wait, Pass: time.Sleep,
					Restart: func() error {
						stop()
						b, stop = start(t, cfg)
						return nil
					},
				}, steps)
			})
			return talk, err
		})
	})
}

func pipe() broker.Config {
	cfg := configuration()
	cfg.Loops = -1 // event loops would wait outside of the bubble
	return cfg
}

// TestTCP plays sequences over TCP and event loops. It looks for what is different
// there, so fewer of them are enough.
// [MQTT-4.2-1]
func TestTCP(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		if !one(rt, "turn", 5) {
			return
		}
		judge(rt, func(steps []Step) (string, error) {
			cfg := configuration()
			cfg.Listeners = []broker.Listener{{Address: "127.0.0.1:0"}}
			b, stop := start(t, cfg)
			defer stop()
			addr := b.Addrs()[0].String()
			return Play(&World{Dial: func() (net.Conn, error) { return net.Dial("tcp", addr) }}, steps)
		})
	})
}

// judge draws a sequence and plays it. One that fails is made shorter as long as
// it fails in the same way.
func judge(rt *rapid.T, play func([]Step) (string, error)) {
	steps := sequence.Draw(rt, "steps")
	talk, err := play(steps)
	if err == nil {
		return
	}
	for i := len(steps) - 1; i >= 0; i-- {
		less := slices.Delete(slices.Clone(steps), i, i+1)
		if t, e := play(less); e != nil && kind(e) == kind(err) {
			steps, talk, err = less, t, e
		}
	}
	rt.Logf("%s\n%v", talk, err)
	rt.Fatal(kind(err)) // rapid wants the same words when it tries again
}

var particular = regexp.MustCompile(`"[^"]*"|\S*\d\S*|: .*: `)

// kind is an error in general words.
func kind(err error) string { return particular.ReplaceAllString(err.Error(), "*") }

func configuration() broker.Config {
	return broker.Config{SysInterval: -1, Auth: anybody{}, ReceiveMaximum: receiveMaximum, MaxInflight: 65535}
}

// anybody lets everybody be who they say they are.
type anybody struct{}

func (anybody) Authenticate(_ context.Context, a *broker.Attempt) (string, error) {
	return a.Username.Value, nil
}

func start(t *testing.T, cfg broker.Config) (b *broker.Broker, stop func()) {
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return b, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// length is how many steps a sequence has.
const length = 50

var sequence = rapid.SliceOfN(rapid.OneOf(
	connects, connects, connects,
	subscribes, subscribes, subscribes, unsubscribes,
	publishes, publishes, publishes, publishes, publishes,
	rapid.Custom(func(t *rapid.T) Step { return Repeat{small(t, "at"), small(t, "which")} }),
	rapid.Custom(func(t *rapid.T) Step { return Release{small(t, "at"), small(t, "which")} }),
	rapid.Custom(func(t *rapid.T) Step {
		return Acknowledge{small(t, "at"), small(t, "which"), one(t, "refuse", 8)}
	}),
	rapid.Custom(func(t *rapid.T) Step {
		return Acknowledge{small(t, "at"), small(t, "which"), one(t, "refuse", 8)}
	}),
	rapid.Custom(func(t *rapid.T) Step { return AcknowledgeAll{small(t, "at")} }),
	rapid.Custom(func(t *rapid.T) Step { return AcknowledgeAgain{small(t, "at"), small(t, "which")} }),
	rapid.Custom(func(t *rapid.T) Step { return Drop{small(t, "at")} }),
	rapid.Custom(func(t *rapid.T) Step {
		d := Disconnect{At: small(t, "at"), WithWill: one(t, "with will", 3), SetExpiry: one(t, "set expiry", 3)}
		if d.SetExpiry {
			d.Expiry = expiry(t, "expiry")
		}
		return d
	}),
	rapid.Just[Step](Restart{}),
	rapid.Custom(func(t *rapid.T) Step { return Pass{rapid.IntRange(1, 12).Draw(t, "seconds")} }),
), length, length)

var connects = rapid.Custom(func(t *rapid.T) Step {
	c := Connect{
		Client: rapid.IntRange(0, clients-1).Draw(t, "client"),
		V5:     !one(t, "3.1.1", 3), Clean: one(t, "clean", 4), OtherUser: one(t, "other user", 20),
	}
	if c.V5 {
		c.Expiry = expiry(t, "expiry")
		c.Window = rapid.SampledFrom([]uint16{0, 1, 2, 3}).Draw(t, "window")
		c.Aliases = rapid.SampledFrom([]uint16{0, 1, 3}).Draw(t, "aliases")
	}
	if one(t, "will", 3) {
		c.Will = &Will{Message: messages.Draw(t, "will message")}
		if c.V5 {
			c.Will.Delay = rapid.SampledFrom([]uint32{0, 2, 7}).Draw(t, "delay")
		}
	}
	return c
})

var subscribes = rapid.Custom(func(t *rapid.T) Step {
	return Subscribe{
		At: small(t, "at"), ID: rapid.Uint32Range(0, 3).Draw(t, "id"),
		Filters: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Filter {
			return Filter{
				rapid.IntRange(0, len(filters)-1).Draw(t, "filter"),
				packet.Options{
					QoS:     2 - rapid.ByteRange(0, 2).Draw(t, "2-qos"),
					NoLocal: one(t, "no local", 4), RetainAsPublished: one(t, "as published", 3),
					RetainHandling: rapid.ByteRange(0, 2).Draw(t, "retain handling"),
				},
			}
		}), 1, 3).Draw(t, "filters"),
	}
})

var unsubscribes = rapid.Custom(func(t *rapid.T) Step {
	return Unsubscribe{small(t, "at"), rapid.SliceOfN(rapid.IntRange(0, len(filters)-1), 1, 3).Draw(t, "filters")}
})

var publishes = rapid.Custom(func(t *rapid.T) Step {
	return Publish{small(t, "at"), rapid.SliceOfN(messages, 1, 4).Draw(t, "messages")}
})

var messages = rapid.Custom(func(t *rapid.T) Message {
	m := Message{
		Topic: rapid.IntRange(0, len(topics)-1).Draw(t, "topic"), QoS: rapid.ByteRange(0, 2).Draw(t, "qos"),
		Retain: one(t, "retain", 4), Alias: rapid.SampledFrom([]uint16{0, 0, 1, 2}).Draw(t, "alias"),
	}
	if m.Retain {
		m.Empty = one(t, "empty", 4)
	}
	if one(t, "expires", 4) {
		m.Expiry = rapid.Uint32Range(1, 10).Draw(t, "expiry")
	}
	return m
})

func expiry(t *rapid.T, label string) uint32 {
	return rapid.SampledFrom([]uint32{0, 5, 20, 1000}).Draw(t, label)
}

func small(t *rapid.T, label string) int { return rapid.IntRange(0, 7).Draw(t, label) }

// one is true one time in n.
func one(t *rapid.T, label string, n int) bool { return rapid.IntRange(0, n-1).Draw(t, label) == n-1 }
