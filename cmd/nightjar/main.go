// Command nightjar is an MQTT broker with its tools in one program. Started
// without arguments it serves this machine; see `nightjar --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nightjarmq/nightjar/internal/cli"
)

// version is set when a release is built.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, version, os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv})
	stop()
	os.Exit(code)
}
