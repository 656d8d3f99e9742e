package crash

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	killsFlag = flag.Int("kills", 0, "how often the broker is killed; 0: 25, or 5 with -short")
	seedFlag  = flag.Uint64("seed", 0, "seed of the first campaign; 0: a new one")
)

// perCampaign is how many kills one directory sees.
const perCampaign = 25

// TestKill kills the program at random moments.
func TestKill(t *testing.T) {
	bin := build(t, "../..", "")
	kills, seed := *killsFlag, *seedFlag
	if kills == 0 {
		kills = 25
		if testing.Short() {
			kills = 5
		}
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	for ; kills > 0; kills -= perCampaign {
		play(t, bin, seed, 50, func(c *campaign) error { return c.killing(min(kills, perCampaign)) })
		seed++
	}
}

// play plays one campaign and keeps its folder if it fails.
func play(t *testing.T, bin string, seed uint64, size int, harm func(*campaign) error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nightjar-crash-")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCampaign(bin, dir, size, seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.run(func() error { return harm(c) }); err != nil {
		t.Fatalf("seed %d, see %s: %v", seed, dir, err)
	}
	received := 0
	for _, m := range c.messages {
		if m.acked != 0 {
			received++
		}
	}
	t.Logf("seed %d: %d starts, %d messages acknowledged, %d packets, slowest start %v, %v in all", seed, c.incarnation, received,
		c.h.seq, c.slowest.Round(time.Millisecond), time.Since(c.began).Round(time.Second))
	os.RemoveAll(dir)
}
