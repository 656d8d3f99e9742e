// Command conformance says how a broker keeps MQTT 3.1.1 and 5.0. It is a client that writes packets as bytes, looks at the
// bytes that come back, and knows nothing else of the broker. Each case names the statement of the standard that it is
// about.
//
//	go run . -addr 127.0.0.1:1883          # a table
//	go run . -addr 127.0.0.1:1883 -json    # the same for programs
//
// It exits with 1 if a case failed. The broker should let anybody publish and subscribe to all topics.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, complaints io.Writer) int {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(complaints)
	var s settings
	flags.StringVar(&s.address, "addr", "127.0.0.1:1883", "host:port of the broker")
	flags.StringVar(&s.user, "user", "", "user name to connect with")
	flags.StringVar(&s.password, "password", "", "password to connect with")
	flags.DurationVar(&s.patience, "patience", 5*time.Second, "how long an answer may take")
	flags.DurationVar(&s.quiet, "quiet", 100*time.Millisecond, "how long nothing must come where nothing may")
	only := flags.String("run", "", "regular expression that names of cases or clauses match")
	asJSON := flags.Bool("json", false, "print JSON")
	verbose := flags.Bool("v", false, "print the bytes of cases that failed")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(complaints, "conformance: -run:", err)
		return 2
	}
	r := playAll(&s, pattern)
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = r.print(out, *verbose)
	}
	if err != nil {
		fmt.Fprintln(complaints, "conformance:", err)
		return 2
	}
	if r.Failed > 0 {
		return 1
	}
	return 0
}
