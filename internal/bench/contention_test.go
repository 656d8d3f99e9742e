//go:build linux

package bench

import (
	"testing"
	"time"
)

// BenchmarkContention puts load on a broker of this process, for profiles of what waits for what:
//
//	go test -run '^$' -bench Contention -benchtime 100000x -cpu 8 -mutexprofile mutex.out -blockprofile block.out ./internal/bench
//	go tool pprof -top mutex.out
//
// More processors than there are make it worse than it would be: whoever holds a lock may lose its processor.
func BenchmarkContention(b *testing.B) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"pair-q0", Options{Scenario: "pair", Connections: 100}},
		{"pair-q1", Options{Scenario: "pair", Connections: 100, QoS: 1}},
		{"fanin", Options{Scenario: "fanin"}},
		{"fanout", Options{Scenario: "fanout", Subscribers: 300}},
		{"wildcard", Options{Scenario: "wildcard", Subscribers: 10_000}},
		{"connect", Options{Scenario: "connect"}},
		{"retained", Options{Scenario: "retained"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := c.o
			o.URL, o.Messages, o.Quiet = serve(b)["mqtt"], max(b.N, 100), time.Minute
			if o.Scenario == "fanout" {
				o.Messages = max(b.N/o.Subscribers, 1)
			}
			b.ResetTimer()
			r, err := Run(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			if !r.Clean() {
				b.Errorf("%+v", r.Steps)
			}
		})
	}
}
