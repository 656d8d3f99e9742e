package broker

import "testing"

func TestConnectionsLeaveFiles(t *testing.T) {
	for _, tc := range []struct {
		files      uint64
		configured int
		want       int
	}{
		{0, 0, 0},
		{0, 7, 7},
		{10, 0, 2},
		{100, 0, 25},
		{100, 7, 7},
		{1024, 5000, 704},
		{1 << 20, 0, 1<<20 - 400},
		{1 << 31, 0, 0},
		{1<<64 - 1, 9, 9},
	} {
		c := Config{MaxConnections: tc.configured}
		if got := c.connections(tc.files); got != tc.want {
			t.Errorf("%d files, %d connections configured: %d, want %d", tc.files, tc.configured, got, tc.want)
		}
	}
}
