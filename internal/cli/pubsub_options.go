package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

var (
	errHelp    = &usageError{"help"}
	errVersion = &usageError{"version"}
)

// messageMode is where the payload of pub comes from.
type messageMode uint8

const (
	modeText messageMode = iota + 1
	modeFile
	modeLines
	modeEmpty
	modeInput
)

// options are the parsed command line of pub, sub or rr.
type options struct {
	command commands
	table   []flag
	io      Streams

	host, unix, bind string
	port             int // -1: by default
	srv, ws, secure  bool
	proxy            string // URL; "": none
	user, password   *string
	id, idPrefix     string
	keepAlive        int
	resume           bool
	expiry           packet.Opt[uint32]
	version          packet.Version
	tls              tlsOptions
	mptcp            bool

	topics      []string // the last one counts for pub and rr
	response    string   // the topic of the response to rr
	qos         byte
	inflight    uint16
	retain      bool
	mode        messageMode
	text        string // the text, or the name of the file
	repeat      int
	repeatDelay time.Duration

	count, timeout                               int
	exitAfterSub, noRetained, retainedOnly       bool
	removeRetained, asPublished                  bool
	filterOut, unsubscribe                       []string
	retainHandling                               packet.Opt[byte] // of --retain-handling
	randomShare                                  float64
	format                                       string
	verbose, noNewline, pretty                   bool
	watch, messageRate, latency                  bool
	will                                         packet.Will
	willPayload                                  bool
	debug, quiet                                 bool
	connectProps, publishProps, subscribeProps   properties
	unsubscribeProps, disconnectProps, willProps properties
}

// readOptions reads the options file and then the command line, which goes before it.
func readOptions(command commands, args []string, io Streams) (*options, error) {
	if io.Env == nil {
		io.Env = func(string) string { return "" }
	}
	o := &options{command: command, table: flagTable(), io: io, port: -1, keepAlive: 60, version: packet.V311,
		inflight: 20, repeat: 1, randomShare: 100}
	if command == forRR {
		o.version, o.count = packet.V5, 1
	}
	lines, err := o.optionsFile(args)
	if err != nil {
		return o, err
	}
	for _, words := range lines {
		if err := o.parse(words); err != nil {
			return o, err
		}
	}
	if err := o.parse(args); err != nil {
		return o, err
	}
	return o, o.check()
}

func (o *options) program() string {
	switch o.command {
	case forPub:
		return "mosquitto_pub"
	case forRR:
		return "mosquitto_rr"
	}
	return "mosquitto_sub"
}

// optionsFile finds and reads the options file: that of -o, which must exist, or the usual one, which need not.
func (o *options) optionsFile(args []string) ([][]string, error) {
	name, must := "", false
	for i, a := range args {
		if a != "-o" {
			continue
		}
		if i == len(args)-1 {
			return nil, misuse("-o needs a value: -o FILE")
		}
		name, must = args[i+1], true
	}
	if !must {
		dir := o.io.Env("XDG_CONFIG_HOME")
		if home := o.io.Env("HOME"); dir == "" && home != "" {
			dir = filepath.Join(home, ".config")
		}
		if dir == "" {
			return nil, nil
		}
		name = filepath.Join(dir, o.program())
	}
	f, err := os.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && !must {
			return nil, nil
		}
		return nil, misuse("options file: %v", err)
	}
	defer f.Close()
	var lines [][]string
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		line := strings.TrimRight(scan.Text(), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, " ")
		words := []string{name}
		if name == "-D" || name == "--property" {
			words = append(words, strings.Fields(value)...)
		} else if found {
			words = append(words, value)
		}
		lines = append(lines, words)
	}
	if err := scan.Err(); err != nil {
		return nil, misuse("options file %s: %v", name, err)
	}
	return lines, nil
}

// check refuses what makes no sense together, and fills in what follows from something else.
func (o *options) check() error {
	switch {
	case o.willPayload && o.will.Topic == "":
		return misuse("--will-payload needs --will-topic")
	case o.will.Retain && o.will.Topic == "":
		return misuse("--will-retain needs --will-topic")
	case (o.tls.cert == "") != (o.tls.key == ""):
		return misuse("--cert and --key go together; give both")
	case o.tls.keyForm != "" && o.tls.key == "":
		return misuse("--keyform needs --key")
	case o.password != nil && o.user == nil && o.version < packet.V5:
		return misuse("-P needs -u before MQTT 5.0; give a user name, or -V 5")
	}
	if o.version >= packet.V5 && o.resume && !o.expiry.Set {
		o.expiry = packet.Some[uint32](math.MaxUint32)
	}
	if o.id == "" {
		if o.version >= packet.V5 && o.expiry.Value == math.MaxUint32 {
			return misuse("a session that is kept for ever (-c, or -x -1) needs a client identifier; give one with -i")
		}
		if o.version < packet.V5 && o.resume {
			return misuse("-c needs a client identifier; give one with -i")
		}
	}
	if err := o.checkProperties(); err != nil {
		return err
	}
	return o.checkTopics()
}

// checkTopics demands what each command cannot do without.
func (o *options) checkTopics() error {
	switch o.command {
	case forPub:
		if len(o.topics) == 0 || o.mode == 0 {
			return misuse("pub needs a topic (-t) and a message (-m, -f, -l, -n or -s)")
		}
	case forRR:
		switch {
		case len(o.topics) == 0 || o.mode == 0 || o.response == "":
			return misuse("rr needs a topic (-t), a topic for the response (-e) and a message (-m, -f, -n or -s)")
		case o.publishProps.text(0x08).Set:
			return misuse("-D publish response-topic contradicts -e; give only -e")
		}
	case forSub:
		if len(o.topics)+len(o.unsubscribe) == 0 {
			return misuse("sub needs a filter to subscribe to (-t) or to unsubscribe from (-U)")
		}
		if o.noRetained && o.retainedOnly {
			return misuse("-R and --retained-only exclude each other; give one of them")
		}
		if o.messageRate && (o.format != "" || o.verbose || o.noNewline || o.pretty || o.watch) {
			return misuse("--message-rate prints no messages; leave -F, -v, -N, --pretty and -w away")
		}
	}
	return nil
}

// setURL takes server, credentials and topic from a URL. Nothing in it is percent-decoded, as in mosquitto.
func (o *options) setURL(v string) error {
	scheme, rest, ok := strings.Cut(v, "://")
	if !ok {
		scheme = ""
	}
	o.ws, o.secure = false, false
	switch strings.ToLower(scheme) {
	case "mqtt":
		o.port = 1883
	case "mqtts":
		o.port, o.secure = 8883, true
	case "ws":
		o.port, o.ws = 1883, true
	case "wss":
		o.port, o.ws, o.secure = 8883, true, true
	default:
		return errors.New("must begin with mqtt://, mqtts://, ws:// or wss://")
	}
	server, name, ok := strings.Cut(rest, "/")
	if !ok {
		return errors.New("has no topic; it ends as in mqtt://HOST/TOPIC")
	}
	if err := o.addTopic(name); err != nil {
		return err
	}
	if who, where, ok := strings.Cut(server, "@"); ok {
		user, password, has := strings.Cut(who, ":")
		o.user, server = &user, where
		if has {
			o.password = &password
		}
	}
	o.host, o.unix = server, ""
	if i := strings.LastIndexByte(server, ':'); i >= 0 && !strings.HasSuffix(server, "]") {
		port, err := number(server[i+1:], 0, 65535)
		if err != nil {
			return fmt.Errorf("port %w", err)
		}
		o.host, o.port = server[:i], port
	}
	o.host = strings.Trim(o.host, "[]")
	return nil
}

func (o *options) addTopic(v string) error {
	o.topics = append(o.topics, v)
	if o.command == forSub {
		return checkFilter(v)
	}
	return checkTopic(v)
}

func checkTopic(v string) error {
	if err := topic.ValidateNameDepth(v, topic.MaxLength); err != nil {
		return fmt.Errorf("not a topic to publish to: %w", err)
	}
	return checkUTF8(v)
}

func checkFilter(v string) error {
	if _, err := topic.ParseFilterDepth(v, topic.MaxLength); err != nil {
		return fmt.Errorf("not a topic filter: %w", err)
	}
	return checkUTF8(v)
}

func checkUTF8(v string) error {
	if !packet.ValidUTF8([]byte(v)) {
		return errors.New("not valid UTF-8")
	}
	return nil
}

// report prints a mistake, the help text or the version and gives the exit status.
func (o *options) report(err error) int {
	switch err {
	case errHelp:
		fmt.Fprint(o.io.Out, o.usage())
		return 0
	case errVersion:
		version := "(devel)"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			version = info.Main.Version
		}
		fmt.Fprintf(o.io.Out, "nightjar %s, in place of %s\n", version, o.program())
		return 0
	}
	fmt.Fprintf(o.io.Err, "Error: %v\n", err)
	return 1
}

// complain prints an error at run time, unless --quiet.
func (o *options) complain(format string, args ...any) {
	if !o.quiet {
		fmt.Fprintf(o.io.Err, format+"\n", args...)
	}
}
