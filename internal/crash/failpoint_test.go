package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// failpoints are the moments at which the broker is killed. Of those that come
// often, one up to the count is chosen.
var failpoints = []struct {
	name  string
	count int
}{
	{"batch.before", 300},   // the committer has taken a batch
	{"batch.after", 300},    // the log was written
	{"sync-log", 300},       // and is about to be synced
	{"durable.before", 300}, // it was synced, and nobody knows
	{"ack.before", 300},     // the acknowledgement is about to leave
	{"ack.after", 300},      // it has left
	{"write-log", 300},
	{"create-log", 1},
	{"create-sst", 1},
	{"write-sst", 1},
	{"sync-sst", 1},
	{"create-manifest", 1},
	{"sync-manifest", 2},
	{"create-mirror", 1},
	{"sync-mirror", 2},
	{"create-marker", 1},
	{"remove-log", 1},
	{"remove-marker", 1},
	{"close.before", 1}, // from here: while it stops
	{"close.written", 1},
	{"close.after", 1},
	{"checkpoint.before", 1}, // from here: while it is copied
	{"link-sst", 1},
	{"checkpoint.after", 1},
}

// TestFailpoints kills the broker at each named moment.
func TestFailpoints(t *testing.T) {
	bin := build(t, "../..", "failpoint")
	points, seed := failpoints, *seedFlag
	if testing.Short() {
		points = points[:6]
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	for _, p := range points {
		t.Run(p.name, func(t *testing.T) {
			play(t, bin, seed, 10, func(c *campaign) error {
				if err := c.spring(p.name, 1); err != nil {
					return err
				}
				return c.spring(p.name, 1+c.rnd.IntN(p.count))
			})
		})
		seed++
	}
}

// spring starts the broker so that it ends at the count-th time it comes to the
// point.
func (c *campaign) spring(point string, count int) error {
	after := time.NewTimer(time.Duration(c.rnd.Int64N(int64(100 * time.Millisecond))))
	<-after.C
	c.bringDown("killed, "+point+" is next", func() error { c.broker.kill(); return nil })
	c.arm(true)
	defer c.arm(false)
	if err := c.raise(fmt.Sprintf("NIGHTJAR_FAILPOINT=%s:%d", point, count)); err != nil {
		return c.again(err) // it may lie in the start
	}
	provoked, err := c.provoke(point)
	if err != nil {
		return err
	}
	select {
	case <-c.broker.ended:
	case <-time.After(patience):
		err = fmt.Errorf("the broker never comes to %s", point)
	}
	c.bringDown("killed at "+point, func() error { c.broker.kill(); return nil })
	if provoked != nil {
		_ = provoked.Wait() // the broker went while it was asked
	}
	if err != nil {
		return err
	}
	return c.again(nil)
}

// again starts the broker behind a failpoint; err is how the start ended in which
// the failpoint was.
func (c *campaign) again(err error) error {
	if err != nil {
		select {
		case <-c.broker.ended:
		case <-time.After(patience):
			return err
		}
	}
	if state := (*exec.ExitError)(nil); !errors.As(c.broker.state, &state) || !strings.Contains(state.Error(), syscall.SIGKILL.String()) {
		return errors.Join(err, fmt.Errorf("the broker ended with %v", c.broker.state))
	}
	return c.raise()
}

func (c *campaign) arm(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = on
}

// provoke does what brings the broker to a point to which it does not come by
// itself.
func (c *campaign) provoke(point string) (*exec.Cmd, error) {
	switch {
	case strings.HasPrefix(point, "close"):
		return nil, c.broker.cmd.Process.Signal(syscall.SIGTERM)
	case strings.HasPrefix(point, "checkpoint"), strings.HasPrefix(point, "link"):
		cmd := exec.Command(c.bin, "backup", filepath.Join(c.dir, fmt.Sprintf("backup%d", c.incarnation)),
			"--data", filepath.Join(c.dir, "data"))
		return cmd, cmd.Start()
	}
	return nil, nil
}
