package client_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// A process that publishes with a journal is killed again and again. What PublishAsync had accepted arrives once and in
// order, and what it had not, once or never [MQTT-4.3.3-1], [MQTT-4.4.0-1], [MQTT-4.6.0-1].
func TestKilledPublisher(t *testing.T) {
	if url := os.Getenv("PUBLISH_TO"); url != "" {
		publishUntilKilled(t, url)
		return
	}
	servers(t, func(t *testing.T, url string) {
		got := newNumbers()
		if _, err := dial(t, url, client.Options{}).Subscribe(deadline(t), client.To("killed", 2), got.handle); err != nil {
			t.Fatal(err)
		}
		journal := filepath.Join(t.TempDir(), "journal")
		accepted, next := make(map[int]bool), 0
		const lives = 8
		for life := range lives {
			next = publisherLife(t, url, journal, next, 11+17*life, life == lives-1, accepted)
		}
		seen, last := make(map[int]bool), -1
		for _, i := range got.await(t, next-1) {
			if i <= last {
				t.Errorf("%d came after %d", i, last)
			}
			seen[i], last = true, i
		}
		for i := range accepted {
			if !seen[i] {
				t.Errorf("%d was accepted and did not come", i)
			}
		}
		if len(accepted) < lives*5 {
			t.Errorf("only %d messages were accepted", len(accepted))
		}
	})
}

// publisherLife runs the publisher from the number first on, and kills it after so many lines of its output; the last one
// may end by itself. It notes what was accepted and returns the number with which to go on.
func publisherLife(t *testing.T, url, journal string, first, lines int, last bool, accepted map[int]bool) (next int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledPublisher$")
	cmd.Env = append(os.Environ(), "PUBLISH_TO="+url, "JOURNAL="+journal, "FIRST="+strconv.Itoa(first))
	if last {
		cmd.Env = append(cmd.Env, "COUNT=20")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	next = first
	scan := bufio.NewScanner(out)
	for n := 1; scan.Scan(); n++ {
		var word string
		var i int
		fmt.Sscan(scan.Text(), &word, &i)
		switch word {
		case "begin":
			next = i + 1
		case "accepted":
			accepted[i] = true
		}
		if n == lines && !last {
			cmd.Process.Kill() // what was printed before it died is still read
		}
	}
	if err := cmd.Wait(); (err == nil) != last {
		t.Fatalf("the publisher ended with %v", err)
	}
	return next
}

// publishUntilKilled is the process that is killed, unless COUNT says when to stop.
func publishUntilKilled(t *testing.T, url string) {
	o := client.KeeperOptions{Servers: []string{url}, Queue: client.Queue{Journal: os.Getenv("JOURNAL")}}
	o.ClientID, o.Resume, o.SessionExpiry, o.Inflight = "killed", true, packet.Some[uint32](100), 5
	k, err := client.NewKeeper(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	first, _ := strconv.Atoi(os.Getenv("FIRST"))
	count, limited := strconv.Atoi(os.Getenv("COUNT"))
	for i := first; limited != nil || i < first+count; i++ {
		fmt.Println("begin", i)
		m := &packet.Publish{Topic: []byte("killed"), QoS: 2, Payload: fmt.Append(nil, i)}
		if err := k.PublishAsync(ctx, m, nil); err != nil {
			t.Fatal(err)
		}
		fmt.Println("accepted", i)
	}
	if err := k.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
