package client

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// An Event prints what it has, and no pointers.
func TestEventPrints(t *testing.T) {
	e := Event{Kind: Connected, Server: "mqtt://a", Pause: time.Second, Err: errors.New("gone")}
	if got, want := fmt.Sprint(e), "[kind=connected server=mqtt://a pause=1s err=gone]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
