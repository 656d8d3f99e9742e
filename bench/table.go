package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// cell is a figure of a broker.
type cell struct{ row, broker string }

// table gathers figures.
type table struct {
	rows   []string
	values map[cell][]float64
	self   map[cell][]float64 // what making the load cost
	args   map[string]string  // of nightjar bench, by row
	faults map[cell]int64     // of the worst round, in the first row of a step
}

func newTable() *table {
	return &table{values: make(map[cell][]float64), self: make(map[cell][]float64), args: make(map[string]string), faults: make(map[cell]int64)}
}

func (t *table) put(row, broker string, v float64) {
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	k := cell{row, broker}
	t.values[k] = append(t.values[k], v)
}

// add enters a report.
func (t *table) add(l *load, broker string, r *report, err error) {
	if err != nil {
		t.put(l.name+": failed", broker, 1)
		fmt.Fprintf(os.Stderr, "bench: %s, %s: %v\n", l.name, broker, err)
		return
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		row := l.name
		if len(r.Steps) > 1 {
			row += ", " + s.Name
		}
		idle := strings.HasPrefix(l.name, "idle")
		first := cell{row + ": CPU µs", broker}
		switch {
		case !idle:
			t.put(first.row, broker, s.Server.PerUnit)
			t.self[first] = append(t.self[first], s.Self.PerUnit)
			t.args[first.row] = l.arguments()
		case i == 0:
			first.row = row + ": MB before"
			t.put(first.row, broker, float64(s.Server.RSS-s.Server.Growth)/1e6)
		case i == len(r.Steps)-1:
			first.row = row + ": MB at most"
			t.put(first.row, broker, float64(s.Server.Peak)/1e6)
		}
		kept := idle && s.Name != "silence" || s.Name == "set" || s.Name == "store" || s.Name == "subscribe"
		if kept {
			t.put(row+": bytes each", broker, s.Server.PerUnitB)
		}
		if s.Latency != nil && strings.HasPrefix(l.name, "paced") {
			t.put(row+": p50 µs", broker, s.Latency.P50)
			t.put(row+": p99 µs", broker, s.Latency.P99)
			t.put(row+": sent late, p99 µs", broker, s.Late.P99)
		}
		if a := s.AckLatency; a != nil {
			t.put(row+": PUBACK p50 µs", broker, a.P50)
			t.put(row+": PUBACK p99 µs", broker, a.P99)
		}
		if f := r.Fsync; f != nil {
			t.put(row+": fsync p50 µs", broker, f.P50)
			t.put(row+": fsync p99 µs", broker, f.P99)
			t.put(row+": PUBACK p99 in fsyncs (p99)", broker, s.AckLatency.P99/f.P99)
		}
		t.faults[first] = max(t.faults[first], s.faults())
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func (t *table) render(brokers []contender, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s: %s.\n%s. Medians of up to %d rounds; in brackets the ratio to %s.\n"+
		"A `!` counts, of the worst round, messages that were lost, came twice or out of order, or were not sent or acknowledged, and\n"+
		"connections that broke. Such a figure has no ratio.\n\n| load |",
		time.Now().UTC().Format("2006-01-02"), machine(), versions(brokers), rounds, baseline)
	for _, c := range brokers {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(brokers)) + "\n")
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |", row)
		base := t.values[cell{row, baseline}]
		for _, c := range brokers {
			v := t.values[cell{row, c.name}]
			if len(v) == 0 {
				b.WriteString(" |")
				continue
			}
			b.WriteString(" " + figure(median(v)))
			switch n := t.faults[cell{row, c.name}]; {
			case n > 0:
				fmt.Fprintf(&b, " !%d", n)
			case len(base) > 0 && median(base) > 0:
				fmt.Fprintf(&b, " (%.2f)", median(v)/median(base))
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	t.renderSelf(&b)
	return b.String()
}

// versions names the brokers that are not of this repository.
func versions(brokers []contender) string {
	var list []string
	for _, c := range brokers {
		if c.version != "" {
			list = append(list, c.name+" "+c.version)
		}
	}
	return strings.Join(list, ", ")
}

// renderSelf sets what the load cost beside what it cost to make.
func (t *table) renderSelf(b *strings.Builder) {
	b.WriteString("\nWhat the same loads cost the broker, and what they cost `nightjar bench`, each in CPU µs:\n\n" +
		"| load | `nightjar bench ...` | nightjar | bench | mosquitto | bench |\n|---|---|---|---|---|---|\n")
	for _, row := range t.rows {
		if len(t.self[cell{row, ours}]) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | `%s` |", strings.TrimSuffix(row, ": CPU µs"), t.args[row])
		for _, c := range []string{ours, baseline} {
			for _, of := range []map[cell][]float64{t.values, t.self} {
				if v := of[cell{row, c}]; len(v) > 0 {
					b.WriteString(" " + figure(median(v)))
				}
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
}

func figure(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// replace puts text between the two lines of the file that name the part; - prints it.
func replace(file, part, text string) error {
	if file == "-" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", part), fmt.Sprintf("<!-- %s: end -->\n", part)
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q, between which the figures belong", file, begin, end)
	}
	return os.WriteFile(file, []byte(head+begin+text+end+tail), 0o644)
}

// machine describes what it was measured on.
func machine() string {
	model := "unknown processor"
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(cpus)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%d × %s, Linux %s, %s, load average %s at the end", runtime.NumCPU(), model,
		strings.TrimSpace(string(kernel)), runtime.Version(), average)
}
