package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Report is the outcome of a run.
type Report struct {
	Scenario   string         `json:"scenario"`
	Broker     string         `json:"broker"`
	Parameters map[string]any `json:"parameters"`
	Steps      []Step         `json:"steps"`
	Notes      []string       `json:"notes,omitempty"`
}

// Step is a measured part of a run. Units are what its figures are divided by: messages delivered, unless Unit says
// otherwise.
type Step struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Units   int64   `json:"units"`
	Seconds float64 `json:"seconds"`
	PerSec  float64 `json:"per_second"`

	Sent           int64 `json:"sent"`
	Delivered      int64 `json:"delivered"`
	Lost           int64 `json:"lost"`
	Duplicated     int64 `json:"duplicated"`
	Disordered     int64 `json:"disordered"`
	Foreign        int64 `json:"foreign"` // that this run did not send, or not so
	Resent         int64 `json:"resent"`  // with the DUP flag
	Unacknowledged int64 `json:"unacknowledged"`
	Refused        int64 `json:"refused"`
	Broken         int   `json:"broken"` // connections that the broker closed

	Latency    *Latency `json:"latency_us,omitempty"`
	AckLatency *Latency `json:"ack_latency_us,omitempty"` // until the publisher has its PUBACK or PUBCOMP; paced only
	Late       *Latency `json:"late_us,omitempty"`        // how long after they were due this tool sent messages; paced only
	Server     *Process `json:"server,omitempty"`         // with a process id
	Self       Process  `json:"self"`

	PerSubscriber []int64 `json:"per_subscriber,omitempty"` // of a shared subscription
}

// Latency is in microseconds, from the moment a message was handed to the sockets to its arrival, or to its acknowledgement.
// In paced the arrival is when the kernel received it, which does not depend on how soon this process looks; else it is when
// the message was checked.
type Latency struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	P9999 float64 `json:"p9999"`
	Max   float64 `json:"max"`
}

// Process is what a process used in a step.
type Process struct {
	CPU         float64 `json:"cpu_seconds"`
	SystemShare float64 `json:"system_share"` // of the CPU time; within ticks of 10 ms
	CPUPerUnit  float64 `json:"cpu_us_per_unit"`
	RSS         int64   `json:"rss"`          // bytes, at the end
	RSSGrowth   int64   `json:"rss_growth"`   // bytes, in the step
	RSSPerUnit  float64 `json:"rss_per_unit"` // bytes of growth
	Peak        int64   `json:"rss_peak"`
}

// Clean says that every message arrived once, in order and unchanged, and that no connection broke.
func (s *Step) Clean() bool {
	return s.Lost+s.Duplicated+s.Disordered+s.Foreign+s.Unacknowledged+s.Refused == 0 && s.Broken == 0
}

// Clean says that every step was.
func (r *Report) Clean() bool {
	return !slices.ContainsFunc(r.Steps, func(s Step) bool { return !s.Clean() })
}

// usage is what a process has used so far.
type usage struct {
	cpu       float64 // seconds of all its threads, ended ones too, exact
	user, sys float64 // the same as the kernel divides it, in ticks of 10 ms
	rss, peak int64   // bytes
}

func processOf(before, after usage, units int64) Process {
	p := Process{CPU: after.cpu - before.cpu, RSS: after.rss, RSSGrowth: after.rss - before.rss, Peak: after.peak}
	user, sys := after.user-before.user, after.sys-before.sys
	if user+sys > 0 {
		p.SystemShare = sys / (user + sys)
	}
	if units > 0 {
		p.CPUPerUnit = p.CPU * 1e6 / float64(units)
		p.RSSPerUnit = float64(p.RSSGrowth) / float64(units)
	}
	return p
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s\n", r.Scenario, r.Broker)
	for i := range r.Steps {
		r.Steps[i].write(w)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (s *Step) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "\n%s\t%d %ss in %.2f s: %.0f a second\n", s.Name, s.Units, s.Unit, s.Seconds, s.PerSec)
	if s.Sent > 0 || s.Delivered > 0 || s.Lost > 0 {
		fmt.Fprintf(w, "messages\tsent %d, delivered %d, lost %d, duplicated %d, out of order %d\n",
			s.Sent, s.Delivered, s.Lost, s.Duplicated, s.Disordered)
	}
	if s.Foreign+s.Resent+s.Unacknowledged+s.Refused > 0 || s.Broken > 0 {
		fmt.Fprintf(w, "\tforeign %d, sent again %d, not acknowledged %d, refused %d, connections broken %d\n",
			s.Foreign, s.Resent, s.Unacknowledged, s.Refused, s.Broken)
	}
	if len(s.PerSubscriber) > 0 {
		fmt.Fprintf(w, "members\t%d\n", s.PerSubscriber)
	}
	s.Latency.write(w, "latency")
	s.AckLatency.write(w, "acknowledged")
	s.Late.write(w, "sent late by")
	if s.Server != nil {
		s.Server.write(w, "server", s.Unit)
	}
	s.Self.write(w, "this tool", s.Unit)
	if s.Server != nil && s.Self.CPU > s.Server.CPU {
		fmt.Fprintf(w, "\tmaking this load took more CPU time than serving it\n")
	}
}

func (l *Latency) write(w io.Writer, name string) {
	if l != nil {
		fmt.Fprintf(w, "%s\tp50 %s, p90 %s, p99 %s, p99.9 %s, p99.99 %s, max %s\n", name, micros(l.P50), micros(l.P90),
			micros(l.P99), micros(l.P999), micros(l.P9999), micros(l.Max))
	}
}

func (p *Process) write(w io.Writer, name, unit string) {
	fmt.Fprintf(w, "%s\tCPU %.3f s (%.0f %% system), %s a %s; memory %.1f MiB (%+.1f), peak %.1f\n", name, p.CPU,
		100*p.SystemShare, micros(p.CPUPerUnit), unit, mib(p.RSS), mib(p.RSSGrowth), mib(p.Peak))
	if unit != "message" && p.RSSPerUnit > 0 {
		fmt.Fprintf(w, "\t%.0f bytes a %s\n", p.RSSPerUnit, unit)
	}
}

func mib(b int64) float64 { return float64(b) / (1 << 20) }

// micros prints microseconds with three digits.
func micros(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f s", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3g ms", v/1e3)
	}
	return fmt.Sprintf("%.3g µs", v)
}
