package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// growth is a load in several sizes.
type growth struct {
	of    string // what there is more of
	args  string // of nightjar bench, with %d for how many there are
	most  int
	steps []measured
}

// measured is a step of a report, and what it is called in the table.
type measured struct{ step, as string }

var sizes = [...]int{1_000, 10_000, 100_000}

func growths() []growth {
	return []growth{
		{"subscriptions", "wildcard -n 40000 -s %d", sizes[2], []measured{{"wildcard", "a message through them"}}},
		{"retained topics", "retained -n 20000 -s %d", sizes[2], []measured{{"set", "one more is set"}, {"read", "one of 20,000 others is read"}}},
		{"connections", "idle --hold 1s -c %d", min(descriptors()-500, sizes[2]), []measured{{"connect", "one connects and subscribes"}, {"a message each", "a message to one of them"}}},
		{"queued messages", "offline -w 500 -n %d", sizes[2], []measured{{"store", "one more is queued"}, {"drain", "one is sent at last"}}},
	}
}

// descriptors is how many files a process may have open, and so connections.
func descriptors() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int(l.Max) // a Go program raises what is in force to this
}

// series is a row of the table of growth.
type series struct {
	what, broker string
	values       [len(sizes)][]float64
}

// grow measures all sizes, and replaces the table of growth in the file.
func (w *workshop) grow(ctx context.Context, rounds int, out string) error {
	var rows []*series
	brokers := slices.Clone(w.brokers)
	for round := range rounds {
		for _, g := range growths() {
			for i, size := range sizes {
				for _, b := range brokers {
					if !slices.Contains([]string{ours, durableName, baseline}, b.name) {
						continue
					}
					fmt.Fprintf(os.Stderr, "round %d of %d: %d %s, %s\n", round+1, rounds, size, g.of, b.name)
					r, err := w.run(ctx, &b, &load{args: fmt.Sprintf(g.args, min(size, g.most))})
					if err != nil {
						return fmt.Errorf("%d %s, %s: %w", size, g.of, b.name, err)
					}
					rows = enter(rows, &g, b.name, i, r)
				}
			}
		}
		slices.Reverse(brokers) // nobody always follows the same one
	}
	return replace(out, "growth", renderGrowth(rows, rounds))
}

// enter adds the figures of a report to the rows.
func enter(rows []*series, g *growth, broker string, size int, r *report) []*series {
	for _, m := range g.steps {
		at := slices.IndexFunc(r.Steps, func(s step) bool { return s.Name == m.step })
		if at < 0 {
			continue
		}
		what := g.of + ": " + m.as
		if size == len(sizes)-1 && g.most < sizes[size] {
			what += fmt.Sprintf(" (%d in the last column)", g.most)
		}
		same := func(s *series) bool { return strings.HasPrefix(what, s.what) && s.broker == broker }
		k := slices.IndexFunc(rows, same)
		if k < 0 {
			k = len(rows)
			rows = append(rows, &series{broker: broker})
		}
		rows[k].what = what
		rows[k].values[size] = append(rows[k].values[size], r.Steps[at].Server.PerUnit)
	}
	return rows
}

func renderGrowth(rows []*series, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s: %s. CPU µs of the broker, medians of up to %d rounds. The last column divides the third figure by the first.\n\n"+
		"| | broker | 1,000 | 10,000 | 100,000 | × |\n|---|---|---|---|---|---|\n", time.Now().UTC().Format("2006-01-02"), machine(), rounds)
	for _, s := range rows {
		fmt.Fprintf(&b, "| %s | %s |", s.what, s.broker)
		for _, v := range s.values {
			fmt.Fprintf(&b, " %s |", figure(median(v)))
		}
		fmt.Fprintf(&b, " %.2f |\n", median(s.values[len(sizes)-1])/median(s.values[0]))
	}
	return b.String()
}
