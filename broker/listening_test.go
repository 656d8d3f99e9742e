package broker

import (
	"fmt"
	"path/filepath"
	"testing"
)

// Listeners come and go, and who asks for them sees each with its own address.
func TestListeningIsOfOneMoment(t *testing.T) {
	dir := t.TempDir()
	config := func(n int) Config {
		cfg := Config{SysInterval: -1}
		for i := range n {
			at := filepath.Join(dir, fmt.Sprint(i+1-n%2))
			cfg.Listeners = append(cfg.Listeners, Listener{Network: "unix", Address: at, Anonymous: true})
		}
		return cfg
	}
	b, stop := run(t, config(2))
	defer stop()
	reloaded := make(chan error)
	go func() {
		defer close(reloaded)
		for i := range 100 {
			if err := b.Reload(config(1 + i%3)); err != nil {
				reloaded <- err
				return
			}
		}
	}()
	for {
		for _, l := range b.Listening() {
			if l.Addr.String() != l.Address {
				t.Fatalf("the listener %s has the address %v", l.Address, l.Addr)
			}
		}
		select {
		case err := <-reloaded:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
