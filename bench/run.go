package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// report is what this program reads of the output of nightjar bench.
type report struct {
	Steps []step
	Fsync *latency `json:"-"` // microseconds, of those that the broker made meanwhile
}

type step struct {
	Name           string
	Lost           int64
	Duplicated     int64
	Disordered     int64
	Foreign        int64
	Unacknowledged int64
	Refused        int64
	Broken         int64
	Latency        *latency `json:"latency_us"`
	AckLatency     *latency `json:"ack_latency_us"`
	Late           *latency `json:"late_us"`
	Server         process
	Self           process
}

// faults counts what went wrong.
func (s *step) faults() int64 {
	return s.Lost + s.Duplicated + s.Disordered + s.Foreign + s.Unacknowledged + s.Refused + s.Broken
}

type latency struct{ P50, P99 float64 }

type process struct {
	PerUnit  float64 `json:"cpu_us_per_unit"`
	PerUnitB float64 `json:"rss_per_unit"`
	RSS      int64   // bytes, at the end
	Growth   int64   `json:"rss_growth"`
	Peak     int64   `json:"rss_peak"`
}

// run starts a broker, puts the load on it, and ends it.
func (w *workshop) run(ctx context.Context, b *contender, l *load) (*report, error) {
	dir, err := os.MkdirTemp(w.dir, "run-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"access.acl", "cert.pem", "key.pem"} {
		if err := os.Symlink(filepath.Join(w.dir, name), filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	if err := configure(dir, l); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	argv := b.argv
	if b.name == floorName && l.synced {
		argv = append(slices.Clone(argv), "-sync", "data/log")
	}
	broker := exec.CommandContext(ctx, argv[0], argv[1:]...)
	broker.Dir, broker.Stdout, broker.Stderr = dir, &said, &said
	broker.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := broker.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { broker.Wait(); close(ended) }()
	end := func() {
		broker.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			broker.Process.Kill()
			<-ended
		}
	}
	defer end()
	if err := awaitPort(ctx, l.address(), ended); err != nil {
		return nil, fmt.Errorf("%w: %s", err, &said)
	}
	r, err := w.load(ctx, l, broker.Process.Pid)
	if err == nil && l.synced {
		switch b.name {
		case durableName:
			r.Fsync, err = fsyncs(ctx)
		case floorName:
			end() // it says so then
			err = json.Unmarshal(said.Bytes(), &r.Fsync)
		}
	}
	return r, err
}

// configure writes the configurations of the brokers, with no listener that the load does not need: one for WebSocket costs
// mosquitto something for every message. It does not start without one for TCP.
func configure(dir string, l *load) error {
	common := "listener 18830 127.0.0.1\n"
	switch {
	case l.web:
		common += "listener 18831 127.0.0.1\nprotocol websockets\n"
	case l.secure:
		common += "listener 18832 127.0.0.1\ncertfile cert.pem\nkeyfile key.pem\n"
	}
	common += `allow_anonymous true
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_type error
connection_messages false
`
	if os.Getuid() == 0 {
		common += "user root\n" // else a broker gives up the right to read its own folder
	}
	for name, text := range map[string]string{
		"memory.conf":  common + "persistence false\n",
		"access.conf":  common + "persistence false\nacl_file access.acl\n",
		"durable.conf": common + "persistence true\npersistence_location ./data/\nlistener 18833 127.0.0.1\nprotocol http_api\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// address is where the brokers listen for the load.
func (l *load) address() string {
	switch {
	case l.web:
		return webAddress
	case l.secure:
		return tlsAddress
	}
	return tcpAddress
}

// url is that of the broker.
func (l *load) url(address string) string {
	switch {
	case l.web:
		return "ws://" + address
	case l.secure:
		return "mqtts://" + address
	}
	return "mqtt://" + address
}

// fsyncs asks a broker how many microseconds the fsyncs took that it has made since it started.
func fsyncs(ctx context.Context) (*latency, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+httpAddress+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	h := buckets(string(text), "nightjar_store_fsync_seconds")
	return &latency{P50: quantile(h, 0.5) * 1e6, P99: quantile(h, 0.99) * 1e6}, nil
}

// bucket is one of a histogram of Prometheus: how many values are at most bound.
type bucket struct {
	bound float64
	count float64
}

// buckets reads a histogram, from the lowest bound to infinity.
func buckets(text, name string) (h []bucket) {
	for line := range strings.Lines(text) {
		var b bucket
		rest, ok := strings.CutPrefix(line, name+`_bucket{le="`)
		bound, count, cut := strings.Cut(strings.TrimSpace(rest), `"} `)
		if !ok || !cut {
			continue
		}
		var e1, e2 error
		b.bound, e1 = strconv.ParseFloat(bound, 64)
		b.count, e2 = strconv.ParseFloat(count, 64)
		if e1 == nil && e2 == nil {
			h = append(h, b)
		}
	}
	return h
}

// quantile is the value that the share q of all is below, as if those in one bucket were spread evenly.
func quantile(h []bucket, q float64) float64 {
	if len(h) == 0 {
		return math.NaN()
	}
	rank := q * h[len(h)-1].count
	var below bucket
	for _, b := range h {
		if b.count >= rank && b.count > below.count && !math.IsInf(b.bound, 1) {
			return below.bound + (b.bound-below.bound)*(rank-below.count)/(b.count-below.count)
		}
		below = b
	}
	return math.Inf(1)
}

func (w *workshop) load(ctx context.Context, l *load, pid int) (*report, error) {
	args := append([]string{"bench"}, strings.Fields(l.args)...)
	args = append(args, "--url", l.url(l.address()), "--insecure", "--json", "--quiet", "5s", "--pid", strconv.Itoa(pid))
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, w.nightjar, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run() // what was lost is an error too, and in the report
	r := new(report)
	if e := json.Unmarshal(out.Bytes(), r); e != nil || len(r.Steps) == 0 {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return r, nil
}

func awaitPort(ctx context.Context, address string, ended <-chan struct{}) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && ctx.Err() == nil; {
		select {
		case <-ended:
			return fmt.Errorf("the broker ended while it started")
		case <-time.After(50 * time.Millisecond):
		}
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			c.Close()
			select { // it may be another program's port
			case <-ended:
			case <-time.After(500 * time.Millisecond):
				return nil
			}
		}
	}
	return fmt.Errorf("the broker does not listen on %s", address)
}

func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
