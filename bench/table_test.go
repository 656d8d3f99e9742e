package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{5, 1}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

// one is a report with one step.
func one(perUnit float64, lost int64) *report {
	r := new(report)
	r.Steps = append(r.Steps, step{Name: "pair", Lost: lost})
	r.Steps[0].Server.PerUnit = perUnit
	return r
}

// A table shows medians, the ratio to the baseline, what was lost, and who failed.
func TestTable(t *testing.T) {
	const begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
	l := &load{name: "pair"}
	tab := newTable()
	for _, v := range []float64{2, 4, 3} {
		tab.add(l, "nightjar", one(v, 0), nil)
	}
	tab.add(l, baseline, one(12, 0), nil)
	tab.add(l, "lossy", one(1, 7), nil)
	tab.add(l, "gone", nil, errors.New("it ended"))
	name := filepath.Join(t.TempDir(), "figures.md")
	if err := os.WriteFile(name, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	brokers := []contender{{name: "nightjar"}, {name: "lossy"}, {name: "gone"}, {name: baseline}}
	if err := replace(name, "measured", tab.render(brokers, 3)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{
		"| pair: CPU µs | 3 (0.25) | 1 !7 | | 12 (1.00) |\n", "| pair: failed | | | 1 | |\n", "before\n" + begin, end + "after\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old\n") {
		t.Errorf("the old figures are still there:\n%s", text)
	}
	if err := os.WriteFile(name, []byte("nothing to replace"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(name, "measured", tab.render(brokers, 3)); err == nil {
		t.Error("figures were written to a file without a place for them")
	}
}

func TestGrowth(t *testing.T) {
	g := growths()[0]
	var rows []*series
	for i, cost := range []float64{2, 3, 5} {
		r := one(cost, 0)
		r.Steps[0].Name = g.steps[0].step
		rows = enter(rows, &g, ours, i, r)
	}
	want := "| subscriptions: a message through them | nightjar | 2 | 3 | 5 | 2.50 |\n"
	if got := renderGrowth(rows, 1); len(rows) != 1 || !strings.Contains(got, want) {
		t.Errorf("%q is missing in\n%s", want, got)
	}
}

// A quantile is found between the bounds of its bucket.
func TestQuantile(t *testing.T) {
	h := buckets("other_bucket{le=\"1\"} 5\nt_bucket{le=\"0.1\"} 10\nt_bucket{le=\"0.2\"} 20\nt_bucket{le=\"0.4\"} 20\nt_bucket{le=\"+Inf\"} 21\nt_sum 3\n", "t")
	if len(h) != 4 {
		t.Fatalf("buckets %v", h)
	}
	for q, want := range map[float64]float64{10.0 / 21: 0.1, 15.0 / 21: 0.15, 20.0 / 21: 0.2, 1: math.Inf(1)} {
		if got := quantile(h, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v is below %v, want %v", q, got, want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("nothing has a median")
	}
}
