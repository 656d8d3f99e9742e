package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/nightjarmq/nightjar/internal/cli/passwd"
)

// root is the command tree; each field is a sub-command.
type root struct {
	Serve serveCommand `cmd:"" default:"withargs" help:"Run the broker. This is what nightjar does without a command."`
	Check checkCommand `cmd:"" help:"Say what each line of a mosquitto.conf does here, or what is wrong with a nightjar.toml."`

	Convert convertCommand `cmd:"" help:"Write a mosquitto.conf as a nightjar.toml that says the same."`
	Explain explainCommand `cmd:"" help:"Say whether a client may publish, subscribe to or receive something, and which line decides."`

	Bridge bridgeCommand `cmd:"" help:"Look at bridges to other brokers."`

	Backup  backupCommand  `cmd:"" help:"Copy the store into a directory, also while the broker runs."`
	Restore restoreCommand `cmd:"" help:"Make the store from a backup."`
	Inspect inspectCommand `cmd:"" help:"List the sessions, queues and retained messages of the store."`

	Bench benchCommand `cmd:"" help:"Put load on a broker and measure it."`

	Pub rawCommand `cmd:"" passthrough:"" help:"Publish messages, with the flags of mosquitto_pub."`
	Sub rawCommand `cmd:"" passthrough:"" help:"Subscribe and print messages, with the flags of mosquitto_sub."`
	RR  rawCommand `cmd:"" name:"rr" passthrough:"" help:"Publish a request and print the response, with the flags of mosquitto_rr."`

	Passwd rawCommand `cmd:"" passthrough:"" help:"Change a password file, with the flags of mosquitto_passwd."`

	Version kong.VersionFlag `help:"Print the version."`
}

// rawCommand is a command that reads its own arguments.
type rawCommand struct {
	Args []string `arg:"" optional:""`
}

// Main runs the program named by args[0] and returns its exit code. Started
// under the name of a Mosquitto tool it is that tool.
func Main(ctx context.Context, version string, args []string, io Streams) int {
	if version == "" {
		version = buildVersion()
	}
	switch strings.TrimSuffix(filepath.Base(args[0]), ".exe") {
	case "mosquitto":
		return Mosquitto(ctx, version, args[1:], io)
	case "mosquitto_pub":
		return Pub(ctx, args[1:], io)
	case "mosquitto_sub":
		return Sub(ctx, args[1:], io)
	case "mosquitto_rr":
		return RR(ctx, args[1:], io)
	case "mosquitto_passwd":
		return passwd.Run("mosquitto_passwd", args[1:], io.In, io.Out, io.Err)
	}
	args = spellOut(args)
	if len(args) > 1 {
		switch args[1] { // their flags are not kong's: -h is a host
		case "pub":
			return Pub(ctx, args[2:], io)
		case "sub":
			return Sub(ctx, args[2:], io)
		case "rr":
			return RR(ctx, args[2:], io)
		case "passwd":
			return passwd.Run("nightjar passwd", args[2:], io.In, io.Out, io.Err)
		}
	}
	var cmds root
	code, exited := 0, false
	parser, err := kong.New(&cmds,
		kong.Name("nightjar"),
		kong.Description("An MQTT broker with its tools in one program."),
		kong.UsageOnError(),
		kong.Writers(io.Out, io.Err),
		kong.Vars{"version": "nightjar " + version, "scenarios": scenarioNames()},
		kong.Exit(func(c int) { code, exited = c, true }),
	)
	if err != nil {
		panic("cli: the command tree is wrong: " + err.Error())
	}
	parsed, err := parser.Parse(args[1:])
	if exited {
		return code
	}
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %s\n", explainUsage(err))
		return exitUsage
	}
	switch parsed.Command() {
	case "check <file>":
		return cmds.Check.run(io)
	case "convert <file>":
		return cmds.Convert.run(io)
	case "explain <client> <action> <topic>":
		return cmds.Explain.run(ctx, io)
	case "bridge test <file>":
		return cmds.Bridge.Test.run(io)
	case "backup <dir>":
		return cmds.Backup.run(ctx, io)
	case "restore <dir>":
		return cmds.Restore.run(ctx, io)
	case "inspect":
		return cmds.Inspect.run(ctx, io)
	case "bench", "bench <scenario>":
		return cmds.Bench.run(ctx, io)
	}
	return cmds.Serve.run(ctx, version, io)
}

// spellOut turns the words help and version, which people try, into the flags.
func spellOut(args []string) []string {
	switch {
	case len(args) < 2:
		return args
	case args[1] == "version":
		return []string{args[0], "--version"}
	case args[1] == "help" && len(args) > 2:
		return []string{args[0], args[2], "--help"}
	case args[1] == "help":
		return []string{args[0], "--help"}
	}
	return args
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

// kongWords are sentences of the flag parser about itself, and what they say to
// somebody who has mistyped.
var kongWords = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`^(--[a-z-]+): (?:missing value, expecting .*|expected .* value but got .*)$`), "$1 needs a value"},
	{regexp.MustCompile(`,""( but got )`), "$1"}, // how an enumeration says that it may be left out
}

// explainUsage says what is wrong with a command line, and what to do about it.
func explainUsage(err error) string {
	node, help := (*kong.Node)(nil), "nightjar --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node = parse.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
		} else if args := parse.Context.Args; len(args) > 0 && strings.HasPrefix(args[0], "-") {
			help = "nightjar serve --help"
		}
	}
	text := err.Error()
	for _, w := range kongWords {
		text = w.pattern.ReplaceAllString(text, w.text)
	}
	stray, isStray := strings.CutPrefix(text, "unexpected argument ")
	switch {
	case node != nil && node.Name == "bench" && strings.HasPrefix(text, "unknown flag -p,"):
		text = "unknown flag -p: where the broker listens comes after --url, as in --url mqtt://localhost:1884"
	case isStray && node != nil && node.Name == "serve" && !strings.Contains(stray, "did you mean"):
		text += ": " + insteadOf(stray, node)
	case node != nil && strings.HasPrefix(text, "expected "):
		text += ": " + node.Summary()
	}
	return fmt.Sprintf("%s (see %s)", text, help)
}

// insteadOf is what somebody may have meant who gave serve an argument.
func insteadOf(arg string, serve *kong.Node) string {
	if strings.Contains(arg, "://") {
		return "the address to listen at comes after --listen, and clients are nightjar pub and nightjar sub"
	}
	if _, err := os.Stat(arg); !errors.Is(err, fs.ErrNotExist) || strings.HasSuffix(arg, ".conf") || strings.HasSuffix(arg, ".toml") {
		return "a configuration file comes after -c"
	}
	var names []string
	for _, n := range serve.Parent.Children {
		if !n.Hidden {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return "the commands are " + strings.Join(names, ", ")
}
