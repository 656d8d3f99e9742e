//go:build !race

package disk

// raceEnabled: the race detector makes a test here ten times as slow, and what
// it looks for shows in a few rounds.
const raceEnabled = false
