package session

import "github.com/nightjarmq/nightjar/packet"

// Publish takes a PUBLISH from the client. It resolves its Topic Alias in place
// and reports whether the message is new and to be routed; a repeat of QoS 2 is
// not, and is answered like the first. An error ends the connection.
//
// The answer to QoS 1 and 2 is given by [Session.Accept] once everything that
// the acknowledgement implies has been handed over.
func (s *Session) Publish(p *packet.Publish) (isNew bool, err error) {
	if len(p.SubscriptionIDs) > 0 {
		return false, &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-3.3.4-6", Msg: "a Client must not send a Subscription Identifier"}
	}
	if err := s.resolve(p); err != nil {
		return false, err
	}
	if p.QoS == 0 {
		return true, nil
	}
	if p.QoS == 2 {
		if _, open := s.incoming[p.PacketID]; open { // [MQTT-4.3.3-10]
			return false, nil
		}
	}
	// What was opened on an earlier connection does not count: the client's quota
	// began anew with this one (5.0 section 4.9).
	if int(s.unacked+s.opened) >= int(s.p.ReceiveMaximum) && s.p.Version == packet.V5 && !s.p.Lenient { // [MQTT-3.3.4-7]
		return false, &packet.Error{Code: packet.ReceiveMaximumExceeded, Clause: "MQTT-3.3.4-7", Msg: "more QoS 1 and 2 messages than the Receive Maximum"}
	}
	if p.QoS == 1 {
		s.unacked++ // an identifier of QoS 1 is not remembered [MQTT-4.3.2-5]
	} else {
		s.openIncoming(p.PacketID, true)
		s.opened++
	}
	return true, nil
}

func (s *Session) openIncoming(id uint16, here bool) {
	if s.incoming == nil {
		s.incoming = s.p.Spare.incoming()
	}
	s.incoming[id] = here
	s.peak = max(s.peak, int32(len(s.incoming)))
}

// Accept writes the answer to a PUBLISH of QoS 1 or 2. A code of 0x80 and above
// refuses the message and closes its identifier. [MQTT-4.3.2-4] [MQTT-4.3.3-8]
func (s *Session) Accept(dst []byte, qos byte, id uint16, code packet.Code) []byte {
	if qos == 1 {
		return s.appendAck(dst, packet.TypePuback, id, code)
	}
	if code >= packet.UnspecifiedError { // [MQTT-4.3.3-9]
		s.closeIncoming(id)
	}
	return s.appendAck(dst, packet.TypePubrec, id, code)
}

// Acked tells that n PUBACKs were handed to the connection, which frees their
// places in our Receive Maximum.
func (s *Session) Acked(n int) { s.unacked -= int32(n) }

// Pubrel handles the client's PUBREL. [MQTT-4.3.3-11]
func (s *Session) Pubrel(id uint16, fx *Effects) {
	code := packet.Success
	if _, open := s.incoming[id]; !open {
		code = packet.PacketIdentifierNotFound
	} else {
		s.closeIncoming(id)
		s.change(fx, Released, 0, id) // [MQTT-4.3.3-12]
	}
	fx.Out = s.appendAck(fx.Out, packet.TypePubcomp, id, code)
}

// Forget closes an identifier whose message was not accepted after all.
func (s *Session) Forget(id uint16) { s.closeIncoming(id) }

// keepMap is the size up to which an empty map stays allocated.
const keepMap = 16

// closeIncoming frees an identifier. A map that has been large is given back
// with its last entry.
func (s *Session) closeIncoming(id uint16) {
	if s.incoming[id] {
		s.opened--
	}
	delete(s.incoming, id)
	if len(s.incoming) == 0 && s.peak > keepMap { // Go's maps do not shrink
		s.incoming, s.peak = nil, 0
	}
}
