package packet

// Ack is the content of PUBACK, PUBREC, PUBREL and PUBCOMP, which differ in their type and their codes only; convert
// between them freely. Before 5.0 there is only the packet identifier, and Code is Success.
type Ack struct {
	PacketID     uint16 // not 0
	Code         Code
	ReasonString Opt[string]
	User         []UserProperty
}
