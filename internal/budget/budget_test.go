package budget

import "testing"

// However many want everything, the size holds, and each gets the same.
func TestShare(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000} {
		b := New(32<<20, 16<<10)
		b.Members(n)
		held := make([]int, n)
		for grew := true; grew; {
			grew = false
			for i := range held {
				const step = 1000
				if held[i]+step <= b.Share(1<<30) {
					held[i] += step
					b.Add(step)
					grew = true
				}
			}
		}
		if b.Used() > b.Size() || b.Used() < b.Size()/8 {
			t.Errorf("%d members hold %d of %d bytes", n, b.Used(), b.Size())
		}
		for i := range held {
			if held[i] < held[0]/2 || held[i] > held[0]*2 {
				t.Fatalf("%d members: one holds %d bytes, another %d", n, held[0], held[i])
			}
		}
	}
}

func TestLimits(t *testing.T) {
	b := New(1<<20, 0)
	if got := b.Share(1000); got != 1000 {
		t.Errorf("share %d of at most 1000", got)
	}
	b.Add(2 << 20)
	if got := b.Share(1 << 20); got != least {
		t.Errorf("share %d when nothing is left", got)
	}
	var none *Budget
	none.Add(1)
	none.Members(1)
	if none.Share(7) != 7 || none.Used() != 0 || none.Size() != 0 {
		t.Error("the nil budget has an end")
	}
}
