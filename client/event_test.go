package client

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// An Event prints what it has, and no pointers.
func TestEventPrints(t *testing.T) {
	e := Event{Kind: Connected, Server: "mqtt://a", Pause: time.Second, Err: errors.New("gone")}
	if got, want := fmt.Sprint(e), "[kind=connected server=mqtt://a pause=1s err=gone]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e = Event{Kind: MessageStuck, Topic: "t", Message: &packet.Publish{Payload: []byte("abc")}, Times: 3, Err: errors.New("EOF")}
	if got, want := fmt.Sprint(e), "[kind=message stuck topic=t payload=3 times=3 err=EOF]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
