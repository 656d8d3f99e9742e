package packet

// Auth is one step of extended authentication (5.0 section 3.15). Older versions do not have it.
type Auth struct {
	Code         Code
	AuthMethod   Opt[string]
	AuthData     []byte // nil: absent
	ReasonString Opt[string]
	User         []UserProperty
}

// Type is TypeAuth.
func (a *Auth) Type() Type { return TypeAuth }
