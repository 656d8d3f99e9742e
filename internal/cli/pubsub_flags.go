package cli

import (
	"fmt"
	"strings"
)

// commands is a set of the commands that take a flag.
type commands uint8

const (
	forPub commands = 1 << iota
	forSub
	forRR
	forAll = forPub | forSub | forRR
)

// flag is one option in mosquitto's spelling. One table gives parsing, help and the man page.
type flag struct {
	names []string // "-t", "--topic"
	arg   string   // name of the value in the help text; "" if there is none
	in    commands
	help  string
	set   func(o *options, value string) error
	// take is for an option with several values. It says how many words it used.
	take func(o *options, words []string) (int, error)
}

// usageError is a mistake on the command line or in an options file. It is printed whatever --quiet says.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func misuse(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// parse applies words to o, left to right.
func (o *options) parse(words []string) error {
	for len(words) > 0 {
		name := words[0]
		f := o.lookup(name)
		if f == nil {
			return misuse("%s is not an option of this command; see --help", name)
		}
		words = words[1:]
		var err error
		switch {
		case f.take != nil:
			var used int
			used, err = f.take(o, words)
			words = words[min(used, len(words)):]
		case f.arg == "":
			err = f.set(o, "")
		case len(words) == 0:
			return misuse("%s needs a value: %s %s", name, name, f.arg)
		default:
			if err = f.set(o, words[0]); err != nil {
				err = misuse("%s %s: %v", name, words[0], err)
			}
			words = words[1:]
		}
		if _, ok := err.(*usageError); err != nil && !ok {
			err = misuse("%s: %v", name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *options) lookup(name string) *flag {
	for i := range o.table {
		f := &o.table[i]
		if f.in&o.command == 0 {
			continue
		}
		for _, n := range f.names {
			if n == name {
				return f
			}
		}
	}
	return nil
}

// usage is the text of --help.
func (o *options) usage() string {
	var b strings.Builder
	switch o.command {
	case forPub:
		b.WriteString("Publish messages to an MQTT server.\n\n" +
			"Usage: nightjar pub [-h HOST] [-p PORT] -t TOPIC {-m TEXT | -f FILE | -l | -n | -s} [OPTION...]\n" +
			"       nightjar pub -L mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC {-m TEXT | ...} [OPTION...]\n\n")
	case forSub:
		b.WriteString("Subscribe to an MQTT server and print the messages.\n\n" +
			"Usage: nightjar sub [-h HOST] [-p PORT] -t FILTER... [OPTION...]\n" +
			"       nightjar sub -L mqtt://[USER[:PASSWORD]@]HOST[:PORT]/FILTER [OPTION...]\n\n")
	case forRR:
		b.WriteString("Publish a request to an MQTT server, wait for the response and print it.\n\n" +
			"Usage: nightjar rr [-h HOST] [-p PORT] -t TOPIC -e TOPIC {-m TEXT | -f FILE | -n | -s} [OPTION...]\n" +
			"       nightjar rr -L mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC -e TOPIC -m TEXT [OPTION...]\n\n")
	}
	for _, f := range o.table {
		if f.in&o.command == 0 {
			continue
		}
		left := strings.Join(f.names, ", ")
		if f.arg != "" {
			left += " " + f.arg
		}
		writeOption(&b, left, f.help)
	}
	fmt.Fprintf(&b, "\nOptions may also stand in $XDG_CONFIG_HOME/%s or ~/.config/%[1]s, one a line.\n", o.program())
	return b.String()
}

// writeOption wraps the help text at 100 columns, indented behind the option.
func writeOption(b *strings.Builder, left, help string) {
	const column, width = 30, 100
	line := "  " + left
	if len(line) >= column-1 {
		b.WriteString(line + "\n")
		line = ""
	}
	line += strings.Repeat(" ", column-len(line))
	empty := true
	for _, word := range strings.Fields(help) {
		if !empty && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", column), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	b.WriteString(line + "\n")
}
