// Package timer calls back many owners at coarse times: keep-alive, session
// expiry, will delay. An entry costs 40 bytes and no runtime timer; moving its
// deadline later costs nothing until the old one has come, because the owner is
// then asked again.
//
// It knows deadlines only, and must never know what they are for.
//
//	w.Schedule(&c.timer, c, now+90_000)
//	func (c *conn) Expire(now int64) (next int64) { ... } // 0: no more
package timer
