// Package bench puts load on an MQTT broker and measures what the broker makes of it. It knows how to publish numbered
// messages, how to check each one that arrives, and what the system says a process has used; it must never know which
// broker it measures.
//
// All connections of a run are driven by one goroutine over one epoll instance, with raw packets and without locks, so
// that measuring costs less than what is measured; a [Report] shows both. A message counts as delivered when its payload
// came unchanged, on its topic, to a receiver that had not had it yet.
//
//	report, err := bench.Run(ctx, bench.Options{Scenario: "pair", URL: "mqtt://localhost:1883", PID: 4711})
//	if err != nil {
//		return err
//	}
//	report.Write(os.Stdout)
package bench
