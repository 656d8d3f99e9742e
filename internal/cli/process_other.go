//go:build !unix

package cli

import (
	"fmt"
	"log/slog"
	"os"
)

func controlSignals() []os.Signal { return nil }

func signalName(os.Signal) string { return "" }

func becomeUser(string, *slog.Logger, ...string) error { return nil }

func background(name string, io Streams) int {
	fmt.Fprintf(io.Err, "%s: -d: this system has no background of that kind: start it as a service\n", name)
	return exitListener
}
