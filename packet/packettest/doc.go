// Package packettest holds control packets with their bytes, written by hand from the standard: packets that must be read
// and written exactly so (Cases), and bytes that must be refused, with the reason code and the clause (Refusals).
//
// It knows tables and nothing else, and must never be imported by code that is not a test. Its bytes are put together
// without the help of the codec, so that the codec cannot vouch for itself.
//
//	for _, c := range packettest.Cases() {
//		got := c.Packet.Append(nil, c.Version)
//		...compare with c.Bytes...
//	}
package packettest
