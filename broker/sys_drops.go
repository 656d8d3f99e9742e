package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/nightjarmq/nightjar/internal/hub"
)

// mostNamed is how many clients are named at once, in $SYS and in the log.
const mostNamed = 20

// drops publishes for whom most was dropped, and logs for whom there was more
// since the last time.
func (s *sys) drops(ctx context.Context) {
	all := s.b.hub.Drops()
	if len(all) == 0 && len(s.told) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b hub.Drops) int {
		return cmp.Or(cmp.Compare(total(&b), total(&a)), cmp.Compare(a.Client, b.Client))
	})
	s.logDrops(all)
	list := make([]map[string]any, 0, mostNamed)
	for i := range all[:min(len(all), mostNamed)] {
		entry := map[string]any{"client": all[i].Client}
		for _, c := range hub.Causes() {
			if n := all[i].Dropped[c]; n > 0 {
				entry[c.String()] = n
			}
		}
		list = append(list, entry)
	}
	if b, err := json.Marshal(list); err == nil {
		s.publish(ctx, "clients/dropped", string(b))
	}
}

func (s *sys) logDrops(all []hub.Drops) {
	told, named, others, messages := make(map[string]int64, len(all)), 0, 0, int64(0)
	for i := range all {
		d := &all[i]
		n := total(d)
		told[d.Client] = n
		more := n - s.told[d.Client]
		switch {
		case more <= 0: // or its session began anew
		case named < mostNamed:
			named++
			attrs := []any{"client", d.Client, "since the last time", more}
			for _, c := range hub.Causes() {
				if d.Dropped[c] > 0 {
					attrs = append(attrs, c.String(), d.Dropped[c])
				}
			}
			s.b.log.Warn("messages were dropped", attrs...)
		default:
			others++
			messages += more
		}
	}
	if others > 0 {
		s.b.log.Warn("messages were dropped for more clients", "clients", others, "since the last time", messages)
	}
	s.told = told
}

func total(d *hub.Drops) (n int64) {
	for _, v := range d.Dropped {
		n += v
	}
	return n
}
