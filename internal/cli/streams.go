package cli

import "io"

// Streams are what a command reads and writes. Env looks an environment variable up, "" if it is not set.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Env      func(string) string
}
