// Command bench measures Nightjar beside the brokers that this machine has: Debian's mosquitto, and mochi-mqtt from this
// module. It starts each broker anew for each load, lets them take turns in an order of chance, so that whatever else the
// machine does falls on all alike, and writes the medians and their ratios into docs/benchmarks.md.
//
//	go run . -rounds 3
//	go run . -rounds 3 -growth
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often each load is put on each broker")
	only := flag.String("only", "", "loads to measure, by name and separated by commas; all if empty")
	out := flag.String("o", "../docs/benchmarks.md", "file whose measured part is replaced; - prints it")
	growing := flag.Bool("growth", false, "measure how cost grows with subscriptions, retained topics, connections and queues instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *rounds, *only, *out, *growing); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, rounds int, only, out string, growing bool) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w, err := prepare(ctx, dir)
	if err != nil {
		return err
	}
	if growing {
		return w.grow(ctx, rounds, out)
	}
	t := newTable()
	for round := range rounds {
		for _, l := range loads() {
			if only != "" && !strings.Contains(","+only+",", ","+l.name+",") {
				continue
			}
			for _, i := range rand.Perm(len(w.brokers)) {
				b := &w.brokers[i]
				if !l.isFor(b.name) {
					continue
				}
				fmt.Fprintf(os.Stderr, "round %d of %d: %s, %s\n", round+1, rounds, l.name, b.name)
				report, err := w.run(ctx, b, &l)
				if ctx.Err() != nil { // what was measured so far is worth keeping
					return replace(out, "measured", t.render(w.brokers, rounds))
				}
				t.add(&l, b.name, report, err)
			}
		}
	}
	return replace(out, "measured", t.render(w.brokers, rounds))
}

// load is what is put on a broker; see nightjar bench.
type load struct {
	name        string
	args        string
	secure, web bool
	some        bool // no rows for mochi-mqtt, which would not add to what others show
	floor       bool // the floor can do it
	synced      bool // compare with the fsyncs that a durable broker, or the floor, made
}

func (l *load) isFor(broker string) bool {
	switch broker {
	case floorName:
		return l.floor
	case mochiName:
		return !l.some && !l.secure && !l.web
	case durableName:
		return !l.secure && !l.web
	}
	return true
}

// arguments are those of nightjar bench.
func (l *load) arguments() string {
	if l.secure || l.web {
		return l.args + " --url " + l.url("...")
	}
	return l.args
}

func loads() []load {
	return []load{
		{name: "pair-q0", args: "pair -n 200000", floor: true},
		{name: "pair-q0-v5", args: "pair -n 200000 -V 5", some: true},
		{name: "pair-q0-window-1", args: "pair -n 60000 -c 50 -w 1", floor: true},
		{name: "pair-q0-4k", args: "pair -n 60000 --size 4096 -w 32", floor: true},
		{name: "pair-q1", args: "pair -n 60000 -q 1", floor: true},
		{name: "pair-q1-v5", args: "pair -n 60000 -q 1 -V 5"},
		{name: "pair-q1-session", args: "pair -n 60000 -q 1 --durable", some: true},
		{name: "pair-q2", args: "pair -n 30000 -q 2", floor: true},
		{name: "pair-q2-v5", args: "pair -n 30000 -q 2 -V 5", some: true},
		{name: "pair-q2-session", args: "pair -n 30000 -q 2 --durable", some: true},
		{name: "fanin", args: "fanin -n 100000", floor: true},
		{name: "fanin-q1-session", args: "fanin -n 50000 -q 1 --durable", some: true},
		{name: "fanout", args: "fanout -n 200 -s 1000", floor: true},
		{name: "fanout-v5", args: "fanout -n 200 -s 1000 -V 5", some: true},
		{name: "fanout-q1-session", args: "fanout -n 100 -s 300 -q 1 --durable", some: true},
		{name: "paced", args: "paced -n 15000 --rate 5000", floor: true},
		{name: "paced-q1", args: "paced -n 6000 --rate 2000 -q 1"},
		{name: "paced-q1-session", args: "paced -n 3000 --rate 1000 -q 1 --durable", some: true, floor: true, synced: true},
		{name: "paced-q1-session-single", args: "paced -c 1 -n 1500 --rate 300 -q 1 --durable", some: true, floor: true, synced: true},
		{name: "shared", args: "shared -n 60000"},
		{name: "tls", args: "pair -n 100000", secure: true},
		{name: "websocket", args: "pair -n 100000", web: true},
		{name: "connect", args: "connect -n 5000", floor: true},
		{name: "idle", args: "idle -c 5000 --hold 4s"},
		{name: "idle-tls", args: "idle -c 1000 --hold 4s", secure: true},
		{name: "retained", args: "retained -n 50000"},
		{name: "wildcard-1k", args: "wildcard -n 40000 -s 1000"},
		{name: "wildcard-100k", args: "wildcard -n 40000 -s 100000", some: true},
		{name: "offline", args: "offline -n 50000 -w 500"},
	}
}

// contender is a broker.
type contender struct {
	name    string
	argv    []string
	version string // "": of this repository
}

const (
	tcpAddress  = "127.0.0.1:18830"
	webAddress  = "127.0.0.1:18831"
	tlsAddress  = "127.0.0.1:18832"
	httpAddress = "127.0.0.1:18833"
)

// workshop is the folder with what is measured.
type workshop struct {
	dir      string
	nightjar string
	brokers  []contender
}

// prepare builds the programs.
func prepare(ctx context.Context, dir string) (*workshop, error) {
	w := &workshop{dir: dir, nightjar: filepath.Join(dir, "nightjar")}
	for _, b := range [][]string{
		{"..", "-o", w.nightjar, "./cmd/nightjar"}, {".", "-o", filepath.Join(dir, "mochi"), "./mochi"},
		{".", "-o", filepath.Join(dir, "floor"), "./floor"},
	} {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build"}, b[1:]...)...)
		cmd.Dir, cmd.Stderr = b[0], os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("build %s: %w", b[2], err)
		}
	}
	if err := writeCertificate(dir); err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "access.acl"), []byte("topic readwrite #\npattern readwrite users/%u/#\n"), 0o644); err != nil {
		return nil, err
	}
	mochi, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "github.com/mochi-mqtt/server/v2").Output()
	if err != nil {
		return nil, fmt.Errorf("ask for the version of mochi: %w", err)
	}
	w.brokers = []contender{
		{name: ours, argv: []string{w.nightjar, "serve", "-c", "memory.conf"}},
		{name: "nightjar with permissions", argv: []string{w.nightjar, "serve", "-c", "access.conf"}},
		{name: durableName, argv: []string{w.nightjar, "serve", "-c", "durable.conf"}},
		{name: mochiName, argv: []string{filepath.Join(dir, "mochi"), "-tcp", tcpAddress}, version: strings.TrimSpace(string(mochi))},
		{name: floorName, argv: []string{filepath.Join(dir, "floor"), "-tcp", tcpAddress}},
	}
	if mosquitto := find("mosquitto", "/usr/sbin/mosquitto"); mosquitto != "" {
		help, _ := exec.CommandContext(ctx, mosquitto, "-h").Output() // it ends with an error
		line, _, _ := strings.Cut(string(help), "\n")
		version := strings.TrimPrefix(line, "mosquitto version ")
		w.brokers = append(w.brokers, contender{name: baseline, argv: []string{mosquitto, "-c", "memory.conf"}, version: version})
	}
	return w, nil
}

const (
	ours        = "nightjar"
	baseline    = "mosquitto"
	durableName = "nightjar durable"
	mochiName   = "mochi"
	floorName   = "floor"
)

func find(names ...string) string {
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p
		}
	}
	return ""
}
