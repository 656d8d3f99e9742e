package model

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// history is what publishers and subscribers of a storm have seen. Messages of a
// publisher with one QoS are numbered from 1.
type history struct {
	mu       sync.Mutex                      // guards all below
	acked    map[stream]int                  // published and acknowledged
	received map[string]map[stream]*arrivals // by Client Identifier of the subscriber
}

// stream is what has an order: one publisher, one topic, one QoS.
type stream struct {
	publisher string
	qos       byte
}

type arrivals struct {
	count map[int]int // by number
	last  int         // the highest number so far
}

// shared is the prefix of the identifiers of a group's members.
const shared = "member"

func newHistory() *history {
	return &history{acked: make(map[stream]int), received: make(map[string]map[stream]*arrivals)}
}

func (h *history) acknowledged(s stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[s]++
}

// arrived notes a message; repeats of QoS 2, which the protocol tells apart, are
// not noted. A message that comes for the first time comes in order, except by a
// shared subscription. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
func (h *history) arrived(subscriber string, s stream, n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.received[subscriber] == nil {
		h.received[subscriber] = make(map[stream]*arrivals)
	}
	a := h.received[subscriber][s]
	if a == nil {
		a = &arrivals{count: make(map[int]int)}
		h.received[subscriber][s] = a
	}
	a.count[n]++
	if a.count[n] > 1 {
		if s.qos != 1 { // [MQTT-4.3.3-10]
			return fmt.Errorf("%s got number %d of %v %d times", subscriber, n, s, a.count[n])
		}
		return nil
	}
	if n < a.last && !strings.HasPrefix(subscriber, shared) {
		return fmt.Errorf("%s got number %d of %v behind %d", subscriber, n, s, a.last)
	}
	a.last = max(a.last, n)
	return nil
}

// check is called at the end: nothing that was acknowledged is missing.
// [MQTT-4.3.2-1] [MQTT-4.3.3-1]
func (h *history) check(subscribers []string) error {
	for s, n := range h.acked {
		for _, sub := range subscribers {
			got := h.received[sub][s]
			for i := 1; i <= n && s.qos > 0; i++ {
				if got == nil || got.count[i] == 0 {
					return fmt.Errorf("%s never got number %d of %v, of which %d were acknowledged", sub, i, s, n)
				}
			}
			if got != nil && got.last > n {
				return fmt.Errorf("%s got number %d of %v, but only %d were sent", sub, got.last, s, n)
			}
		}
	}
	return nil
}

// checkShared: of what was acknowledged each member's part together is all, and
// no message of QoS 2 went to two. [MQTT-4.8.2-2]
func (h *history) checkShared(members []string) error {
	var wrong []error
	for s, n := range h.acked {
		for i := 1; i <= n && s.qos > 0; i++ {
			times := 0
			for _, m := range members {
				if a := h.received[m][s]; a != nil && a.count[i] > 0 {
					times++
				}
			}
			// A publisher may have sent QoS 1 again. Nobody's session has ended, so
			// nothing was passed on.
			if times == 0 || times > 1 && s.qos == 2 {
				wrong = append(wrong, fmt.Errorf("number %d of %d of %v went to %d members of the group", i, n, s, times))
			}
		}
	}
	return errors.Join(wrong...)
}
