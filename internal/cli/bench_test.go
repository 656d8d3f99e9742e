package cli

import (
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/bench"
)

// TestExplainLoss: who loses messages that had to wait reads of the limits of queues, and nobody else does.
func TestExplainLoss(t *testing.T) {
	for _, c := range []struct {
		scenario string
		lost     int64
		notes    int
	}{{"offline", 99_000, 1}, {"offline", 0, 0}, {"pair", 1, 0}} {
		notes := explainLoss(&bench.Report{Scenario: c.scenario, Steps: []bench.Step{{}, {Lost: c.lost}}})
		if len(notes) != c.notes || c.notes > 0 && !strings.Contains(notes[0], "max_queued_messages, which is 1000 in mosquitto") {
			t.Errorf("%s with %d lost: %q", c.scenario, c.lost, notes)
		}
	}
}
