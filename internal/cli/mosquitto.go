package cli

import (
	"context"
	"fmt"
	"strings"
)

const mosquittoUsage = `nightjar version %s, called by the name of mosquitto

Usage: mosquitto [-c FILE] [-d] [-h] [-p PORT] [-q] [-v] [--test-config] [--tls-keylog FILE]

 -c FILE          : read this mosquitto.conf.
 -d               : go into the background.
 -h               : print this.
 -p PORT          : listen on this port, unless the file names listeners; may be repeated.
 -q               : log nothing.
 -v               : log everything, whatever the file says.
 --test-config    : say whether the file can be used, and end.
 --tls-keylog FILE: append the secrets of TLS sessions to a file.
`

// Mosquitto runs the broker with mosquitto's command line.
func Mosquitto(ctx context.Context, version string, args []string, io Streams) int {
	s := serveCommand{asMosquitto: true}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		value := ""
		if word == "-c" || word == "--config-file" || word == "-p" || word == "--port" || word == "--tls-keylog" {
			if len(args) == 0 {
				fmt.Fprintf(io.Err, "Error: %s argument given, but no value.\n", word)
				return exitUsage
			}
			value, args = args[0], args[1:]
		}
		var port portNumber
		switch word {
		case "-c", "--config-file":
			s.Config = value
		case "-p", "--port":
			if err := port.UnmarshalText([]byte(value)); err != nil {
				fmt.Fprintf(io.Err, "Error: Invalid port value (%s).\n", value)
				return exitUsage
			}
			s.Port = append(s.Port, port)
		case "--tls-keylog":
			s.TLSKeylog = value
		case "-d", "--daemon":
			s.Daemon = true
		case "-v", "--verbose":
			s.Verbose = true
		case "-q", "--quiet":
			s.Quiet = true
		case "--test-config":
			s.TestConfig = true
		case "-h", "--help":
			fmt.Fprintf(io.Out, mosquittoUsage, version)
			return exitUsage // as mosquitto
		default:
			fmt.Fprintf(io.Err, "Error: Unknown option '%s'.\n", strings.ToValidUTF8(word, "?"))
			fmt.Fprintf(io.Err, mosquittoUsage, version)
			return exitUsage
		}
	}
	if s.TestConfig && s.Config == "" {
		fmt.Fprintln(io.Err, "Error: --test-config needs a file: add -c FILE")
		return exitUsage
	}
	return s.run(ctx, version, io)
}
