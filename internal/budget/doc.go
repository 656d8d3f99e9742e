// Package budget divides memory among many who may want all of it.
//
// Who holds something from the budget says so with Add, and asks Share how much
// it may hold in all. The share is a part of what is left, so that it shrinks for
// everybody while memory fills: those who hold much get no more, and a newcomer
// still gets something. However many there are, they never hold more than the
// size together, but for the least that everybody may hold.
//
//	b := budget.New(32<<20, 16<<10)
//	b.Members(+1)
//	if held+n <= b.Share(1<<20) {
//		held += n
//		b.Add(n)
//	}
//
// The rule is known from switches, as dynamic thresholds (Choudhury and Hahne,
// 1998).
//
// It must never know what the memory is for.
package budget
