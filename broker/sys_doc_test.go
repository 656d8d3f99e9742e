package broker

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/topic"
)

// cells are the texts in backquotes in a column of the rows of the tables of a page.
func cells(page string, column int) (list []string) {
	quoted := regexp.MustCompile("`([^`]+)`")
	for _, line := range strings.Split(page, "\n") {
		row := strings.Split(line, "|")
		if len(row) != 5 || strings.HasPrefix(line, "| below") {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(row[1+column], -1) {
			if !strings.Contains(m[1], "=") { // a label
				list = append(list, m[1])
			}
		}
	}
	return list
}

// TestSysPage: docs/sys.md has every topic that is published and every metric, and no other.
func TestSysPage(t *testing.T) {
	page, err := os.ReadFile("../docs/sys.md")
	if err != nil {
		t.Fatal(err)
	}
	b, stop := run(t, Config{Data: t.TempDir()})
	defer stop()
	b.sys.publish(t.Context(), "version", b.sys.version())
	b.sys.update(t.Context(), time.Minute)
	published := map[string]bool{"clients/dropped": false} // which is there once something was dropped
	for name := range b.sys.last {
		published[name] = false
	}
	for _, filter := range cells(string(page), 0) {
		found := false
		for name := range published {
			if topic.Match(filter, name) {
				published[name], found = true, true
			}
		}
		if !found {
			t.Errorf("docs/sys.md has $SYS/broker/%s, which is not published", filter)
		}
	}
	for name, there := range published {
		if !there {
			t.Errorf("docs/sys.md lacks $SYS/broker/%s", name)
		}
	}
	metrics := map[string]bool{}
	for _, f := range b.Figures() {
		name, _, _ := strings.Cut(f.Metric, "{")
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, part)
		}
		if name != "" {
			metrics[name] = false
		}
	}
	for _, name := range cells(string(page), 1) {
		if _, there := metrics[name]; !there {
			t.Errorf("docs/sys.md has the metric %s, which is not there", name)
		}
		metrics[name] = true
	}
	for name, there := range metrics {
		if !there {
			t.Errorf("docs/sys.md lacks the metric %s", name)
		}
	}
}
