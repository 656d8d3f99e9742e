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
	"math/big"
	"net"
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
	Fsync *latency `json:"-"` // microseconds, of this machine before and after
}

type step struct {
	Name       string
	Lost       int64
	Duplicated int64
	Disordered int64
	Foreign    int64
	Broken     int
	Latency    *latency `json:"latency_us"`
	AckLatency *latency `json:"ack_latency_us"`
	Server     process
	Self       process
}

type latency struct{ P50, P99 float64 }

type process struct {
	PerUnit  float64 `json:"cpu_us_per_unit"`
	PerUnitB float64 `json:"rss_per_unit"`
}

// run starts a broker, puts the load on it, and ends it.
func (w *workshop) run(ctx context.Context, b *contender, l *load) (*report, error) {
	dir, err := os.MkdirTemp(w.dir, "run-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"memory.conf", "access.conf", "access.acl", "durable.conf", "cert.pem", "key.pem"} {
		if err := os.Symlink(filepath.Join(w.dir, name), filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	broker := exec.CommandContext(ctx, b.argv[0], b.argv[1:]...)
	broker.Dir, broker.Stdout, broker.Stderr = dir, &said, &said
	broker.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := broker.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { broker.Wait(); close(ended) }()
	defer func() {
		broker.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			broker.Process.Kill()
			<-ended
		}
	}()
	if err := awaitPort(ctx, tcpAddress, ended); err != nil {
		return nil, fmt.Errorf("%w: %s", err, &said)
	}
	if !l.synced {
		return w.load(ctx, l, broker.Process.Pid)
	}
	before, err := fsyncs(ctx, dir)
	if err != nil {
		return nil, err
	}
	r, err := w.load(ctx, l, broker.Process.Pid)
	if err != nil {
		return nil, err
	}
	after, err := fsyncs(ctx, dir)
	if err != nil {
		return nil, err
	}
	times := slices.Sorted(slices.Values(append(before, after...)))
	r.Fsync = &latency{P50: times[len(times)/2], P99: times[len(times)*99/100]}
	return r, nil
}

// fsyncs appends to a file and syncs it, for two seconds at the pace of the load, and returns how many microseconds each
// write with its fsync took.
func fsyncs(ctx context.Context, dir string) ([]float64, error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var times []float64
	record := make([]byte, 200)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		began := time.Now()
		if _, err := f.Write(record); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return nil, fmt.Errorf("sync %s: %w", f.Name(), err)
		}
		times = append(times, float64(time.Since(began))/1e3)
	}
	return times, nil
}

func (w *workshop) load(ctx context.Context, l *load, pid int) (*report, error) {
	url := "mqtt://" + tcpAddress
	switch {
	case l.secure:
		url = "mqtts://" + tlsAddress
	case l.web:
		url = "ws://" + webAddress
	}
	args := append([]string{"bench"}, strings.Fields(l.args)...)
	args = append(args, "--url", url, "--insecure", "--json", "--quiet", "5s", "--pid", strconv.Itoa(pid))
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
