//go:build !linux

package passwd

import "os"

// hideTyping is not known for this system: a password is read as a line, which
// the terminal shows.
func hideTyping(*os.File) (show func(), ok bool) { return nil, false }
