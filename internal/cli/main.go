package cli

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// root is the command tree; each field is a sub-command.
type root struct {
	Serve serveCommand `cmd:"" default:"withargs" help:"Run the broker. This is what nightjar does without a command."`

	Version kong.VersionFlag `help:"Print the version."`
}

// Main runs the program named by args[0] and returns its exit code.
func Main(ctx context.Context, version string, args []string, io Streams) int {
	if version == "" {
		version = buildVersion()
	}
	var cmds root
	code, exited := 0, false
	parser, err := kong.New(&cmds,
		kong.Name("nightjar"),
		kong.Description("An MQTT broker with its tools in one program."),
		kong.UsageOnError(),
		kong.Writers(io.Out, io.Err),
		kong.Vars{"version": version},
		kong.Exit(func(c int) { code, exited = c, true }),
	)
	if err != nil {
		panic("cli: the command tree is wrong: " + err.Error())
	}
	_, err = parser.Parse(args[1:])
	if exited {
		return code
	}
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v (see nightjar --help)\n", err)
		return exitUsage
	}
	return cmds.Serve.run(ctx, version, io)
}

// Exit codes, those of mosquitto where it has one.
const (
	exitOK       = 0
	exitListener = 1
	exitUsage    = 3
)

// buildVersion is what the Go tool knows about the source.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}
