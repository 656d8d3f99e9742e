package packet

// Disconnect is the last packet on a connection (5.0 section 3.14). Before 5.0 only a Client sends it and it is empty.
type Disconnect struct {
	Code            Code
	SessionExpiry   Opt[uint32] // seconds; never sent by a Server [MQTT-3.14.2-2]
	ReasonString    Opt[string]
	User            []UserProperty
	ServerReference Opt[string]
}

// Type is TypeDisconnect.
func (d *Disconnect) Type() Type { return TypeDisconnect }
