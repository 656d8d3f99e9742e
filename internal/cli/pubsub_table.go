package cli

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// flagTable lists the options of pub, sub and rr in the order of the help text.
func flagTable() []flag {
	table := append(connectionFlags(), messageFlags()...)
	table = append(table, subscriptionFlags()...)
	table = append(table, protocolFlags()...)
	return append(table, tlsFlags()...)
}

func connectionFlags() []flag {
	return []flag{
		{names: []string{"-h", "--host"}, arg: "HOST", in: forAll, help: "Server to connect to; localhost by default.",
			set: func(o *options, v string) error { o.host, o.unix = v, ""; return nil }},
		{names: []string{"-p", "--port"}, arg: "PORT", in: forAll, help: "Port; 1883 by default, or 8883 with TLS.",
			set: func(o *options, v string) (err error) { o.port, err = number(v, 0, 65535); return err }},
		{names: []string{"-L", "--url"}, arg: "URL", in: forAll,
			help: "Server, credentials and topic in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC, or ws[s]://...",
			set:  (*options).setURL},
		{names: []string{"--unix"}, arg: "PATH", in: forAll, help: "Connect to a Unix socket.",
			set: func(o *options, v string) error { o.unix = v; return nil }},
		{names: []string{"--ws"}, in: forAll, help: "Use WebSocket, at path /mqtt.",
			set: func(o *options, _ string) error { o.ws = true; return nil }},
		{names: []string{"-A"}, arg: "ADDRESS", in: forAll, help: "Local address to connect from.",
			set: func(o *options, v string) error { o.bind = v; return nil }},
		{names: []string{"-S"}, in: forAll, help: "Look the server up in DNS by its SRV record, _mqtt._tcp.HOST.",
			set: func(o *options, _ string) error { o.srv = true; return nil }},
		{names: []string{"--proxy"}, arg: "URL", in: forAll,
			help: "Connect through a SOCKS5 proxy: socks5h://[USER[:PASSWORD]@]HOST[:PORT].", set: (*options).setProxy},
		{names: []string{"--nodelay"}, in: forAll, help: "Send small packets at once. This is always so and the option has no effect.",
			set: func(*options, string) error { return nil }},
		{names: []string{"--mptcp"}, in: forAll, help: "Use Multipath TCP where the system and the server have it.",
			set: func(o *options, _ string) error { o.mptcp = true; return nil }},
		{names: []string{"-u", "--username"}, arg: "NAME", in: forAll, help: "User name.",
			set: func(o *options, v string) error { o.user = &v; return nil }},
		{names: []string{"-P", "--pw"}, arg: "PASSWORD", in: forAll, help: "Password.",
			set: func(o *options, v string) error { o.password = &v; return nil }},
		{names: []string{"-i", "--id"}, arg: "ID", in: forAll, help: "Client identifier; by default the server makes one up.",
			set: func(o *options, v string) error {
				if o.idPrefix != "" {
					return errors.New("cannot be combined with -I; give one of them")
				}
				o.id = v
				return nil
			}},
		{names: []string{"-I", "--id-prefix"}, arg: "PREFIX", in: forAll, help: "Make the client identifier of PREFIX and the process id.",
			set: func(o *options, v string) error {
				if o.id != "" {
					return errors.New("cannot be combined with -i; give one of them")
				}
				o.idPrefix = v
				return nil
			}},
		{names: []string{"-k", "--keepalive"}, arg: "SECONDS", in: forAll, help: "Keep-alive interval, 5 to 65535; 60 by default.",
			set: func(o *options, v string) (err error) { o.keepAlive, err = number(v, 5, 65535); return err }},
		{names: []string{"-c", "--disable-clean-session"}, in: forAll,
			help: "Continue the session of this client identifier, and let the server keep it.",
			set:  func(o *options, _ string) error { o.resume = true; return nil }},
		{names: []string{"-x"}, arg: "SECONDS", in: forAll,
			help: "Let the server keep the session so long after the end, and speak 5.0; -1 or ∞ is for ever. For ever by default with -c, else 0.",
			set:  (*options).setExpiry},
		{names: []string{"-V", "--protocol-version"}, arg: "VERSION", in: forAll, help: "31, 311 or 5 (or mqttv31 ...); by default 5 for rr, else 311.",
			set: (*options).setVersion},
	}
}

func messageFlags() []flag {
	mode := func(m messageMode) func(*options, string) error {
		return func(o *options, v string) error {
			if o.mode != 0 {
				return errors.New("only one of -m, -f, -l, -n and -s can be given")
			}
			o.mode, o.text = m, v
			return nil
		}
	}
	return []flag{
		{names: []string{"-t", "--topic"}, arg: "TOPIC", in: forAll,
			help: "Topic to publish to, or filter to subscribe to; sub takes it several times.", set: (*options).addTopic},
		{names: []string{"-e"}, arg: "TOPIC", in: forRR, help: "Topic on which the response is expected; in 5.0 the request carries it.",
			set: func(o *options, v string) error { o.response = v; return checkTopic(v) }},
		{names: []string{"-m", "--message"}, arg: "TEXT", in: forPub | forRR, help: "Send this text.", set: mode(modeText)},
		{names: []string{"-f", "--file"}, arg: "FILE", in: forPub | forRR, help: "Send the content of a file.", set: mode(modeFile)},
		{names: []string{"-l", "--stdin-line"}, in: forPub, help: "Send every line of standard input as a message.", set: mode(modeLines)},
		{names: []string{"-n", "--null-message"}, in: forPub | forRR, help: "Send an empty message.", set: mode(modeEmpty)},
		{names: []string{"-s", "--stdin-file"}, in: forPub | forRR, help: "Send all of standard input as one message.", set: mode(modeInput)},
		{names: []string{"-q", "--qos"}, arg: "QOS", in: forAll, help: "Quality of service 0, 1 or 2; 0 by default.",
			set: func(o *options, v string) error {
				n, err := number(v, 0, 2)
				o.qos = byte(n)
				return err
			}},
		{names: []string{"-r", "--retain"}, in: forPub, help: "Let the server retain the message.",
			set: func(o *options, _ string) error { o.retain = true; return nil }},
		{names: []string{"-M"}, arg: "COUNT", in: forAll, help: "Most unacknowledged messages on their way; 20 by default.",
			set: func(o *options, v string) error {
				n, err := number(v, 1, math.MaxInt32)
				o.inflight = uint16(min(n, 65535))
				return err
			}},
		{names: []string{"--repeat"}, arg: "COUNT", in: forPub, help: "Send the message so many times (not with -l).",
			set: func(o *options, v string) (err error) { o.repeat, err = number(v, 1, math.MaxInt32); return err }},
		{names: []string{"--repeat-delay"}, arg: "SECONDS", in: forPub, help: "Pause between repetitions, such as 0.5.",
			set: func(o *options, v string) error {
				f, err := strconv.ParseFloat(v, 64)
				if err != nil || f < 0 || f > 1e9 {
					return errors.New("must be a number of seconds, 0 or more")
				}
				o.repeatDelay = time.Duration(f * float64(time.Second))
				return nil
			}},
	}
}

func subscriptionFlags() []flag {
	on := func(field func(*options) *bool) func(*options, string) error {
		return func(o *options, _ string) error { *field(o) = true; return nil }
	}
	return []flag{
		{names: []string{"-C"}, arg: "COUNT", in: forSub, help: "Exit after so many messages.",
			set: func(o *options, v string) (err error) { o.count, err = number(v, 1, math.MaxInt32); return err }},
		{names: []string{"-W"}, arg: "SECONDS", in: forSub | forRR, help: "Exit after so many seconds, with status 27.",
			set: func(o *options, v string) (err error) { o.timeout, err = number(v, 1, math.MaxInt32); return err }},
		{names: []string{"-E"}, in: forSub, help: "Exit when the server has answered the subscriptions.", set: on(func(o *options) *bool { return &o.exitAfterSub })},
		{names: []string{"-R"}, in: forSub | forRR, help: "Do not print retained messages.", set: on(func(o *options) *bool { return &o.noRetained })},
		{names: []string{"--retained-only"}, in: forSub, help: "Print retained messages only, and exit at the first other one.", set: on(func(o *options) *bool { return &o.retainedOnly })},
		{names: []string{"--remove-retained"}, in: forSub, help: "Remove the retained messages that are received from the server, except those of -T.", set: on(func(o *options) *bool { return &o.removeRetained })},
		{names: []string{"--retain-as-published"}, in: forSub | forRR, help: "Keep the retain flag as it was published (5.0 only).", set: on(func(o *options) *bool { return &o.asPublished })},
		{names: []string{"--retain-handling"}, arg: "WHEN", in: forSub | forRR,
			help: "When the server sends its retained messages: always, new (if the subscription is new) or never (5.0 only).", set: (*options).setRetainHandling},
		{names: []string{"-T", "--filter-out"}, arg: "FILTER", in: forSub, help: "Do not print messages that match; may be given several times.",
			set: func(o *options, v string) error { o.filterOut = append(o.filterOut, v); return checkFilter(v) }},
		{names: []string{"-U", "--unsubscribe"}, arg: "FILTER", in: forSub, help: "Unsubscribe; may be given several times.",
			set: func(o *options, v string) error { o.unsubscribe = append(o.unsubscribe, v); return checkFilter(v) }},
		{names: []string{"--random-filter"}, arg: "PERCENT", in: forSub, help: "Print only this share of the messages, 0.1 to 100.",
			set: func(o *options, v string) error {
				f, err := strconv.ParseFloat(v, 64)
				if err != nil || f < 0.1 || f > 100 {
					return errors.New("must be a percentage from 0.1 to 100")
				}
				o.randomShare = f
				return nil
			}},
		{names: []string{"-F"}, arg: "FORMAT", in: forSub | forRR,
			help: "Output format: %t topic, %p payload, %x %X hex, %l length, %q QoS, %r retained, %m packet identifier, %j %J JSON, " +
				"%I ISO time, %U Unix time, %f %d a payload of 4 or 8 bytes as a floating point number, %A %C %D %E %F %P %R %S properties, @X strftime, %.2:x hex in groups of 2 digits with : between, \\n \\t \\0 \\e and so on.",
			set: func(o *options, v string) error { o.format = v; return checkFormat(v) }},
		{names: []string{"-v", "--verbose"}, in: forSub | forRR, help: "Print topic and payload.", set: on(func(o *options) *bool { return &o.verbose })},
		{names: []string{"-N"}, in: forSub | forRR, help: "Do not end messages with a line feed.", set: on(func(o *options) *bool { return &o.noNewline })},
		{names: []string{"-w", "--watch"}, in: forSub, help: "Keep one line of the terminal for each topic, with its latest message.", set: on(func(o *options) *bool { return &o.watch })},
		{names: []string{"--message-rate"}, in: forSub, help: "Print how many messages came in each second instead of the messages.", set: on(func(o *options) *bool { return &o.messageRate })},
		{names: []string{"--latency"}, in: forRR, help: "Print how long the response took, too.", set: on(func(o *options) *bool { return &o.latency })},
		{names: []string{"--pretty"}, in: forSub | forRR, help: "Spread JSON output over several lines.", set: on(func(o *options) *bool { return &o.pretty })},
	}
}

func protocolFlags() []flag {
	return []flag{
		{names: []string{"-D", "--property"}, arg: "COMMAND NAME VALUE...", in: forAll,
			help: "Add a property of 5.0 to connect, publish, subscribe, unsubscribe, disconnect or will, as in: " +
				"-D publish content-type text/plain; -D connect user-property KEY VALUE.",
			take: (*options).takeProperty},
		{names: []string{"--will-topic"}, arg: "TOPIC", in: forAll, help: "Topic of the will, which the server publishes if this client vanishes.",
			set: func(o *options, v string) error { o.will.Topic = v; return checkTopic(v) }},
		{names: []string{"--will-payload"}, arg: "TEXT", in: forAll, help: "Payload of the will; empty by default.",
			set: func(o *options, v string) error { o.will.Payload, o.willPayload = []byte(v), true; return nil }},
		{names: []string{"--will-qos"}, arg: "QOS", in: forAll, help: "QoS of the will.",
			set: func(o *options, v string) error {
				n, err := number(v, 0, 2)
				o.will.QoS = byte(n)
				return err
			}},
		{names: []string{"--will-retain"}, in: forAll, help: "Let the server retain the will.",
			set: func(o *options, _ string) error { o.will.Retain = true; return nil }},
		{names: []string{"-d", "--debug"}, in: forAll, help: "Print every packet.",
			set: func(o *options, _ string) error { o.debug = true; return nil }},
		{names: []string{"--quiet"}, in: forAll, help: "Print no errors once it runs.",
			set: func(o *options, _ string) error { o.quiet = true; return nil }},
		{names: []string{"-o"}, arg: "FILE", in: forAll, help: "Read options from this file, one a line, instead of the usual one.",
			set: func(*options, string) error { return nil }}, // read before everything else
		{names: []string{"--help"}, in: forAll, help: "Print this text.", set: func(*options, string) error { return errHelp }},
		{names: []string{"--version"}, in: forAll, help: "Print the version.", set: func(*options, string) error { return errVersion }},
	}
}

func tlsFlags() []flag {
	refuse := func(why string) func(*options, string) error {
		return func(*options, string) error { return errors.New(why) }
	}
	const noPSK = "pre-shared keys are not supported; use certificates: --cafile, and --cert with --key for the client"
	const noEngine = "OpenSSL engines are not supported; use --cert and --key with PEM files"
	return []flag{
		{names: []string{"--cafile"}, arg: "FILE", in: forAll, help: "Use TLS and trust the certificates in this PEM file.",
			set: func(o *options, v string) error { o.tls.caFile = v; return nil }},
		{names: []string{"--capath"}, arg: "DIRECTORY", in: forAll, help: "Use TLS and trust the PEM files in this directory.",
			set: func(o *options, v string) error { o.tls.caPath = v; return nil }},
		{names: []string{"--tls-use-os-certs"}, in: forAll, help: "Use TLS and trust what this system trusts.",
			set: func(o *options, _ string) error { o.tls.system = true; return nil }},
		{names: []string{"--cert"}, arg: "FILE", in: forAll, help: "Certificate of this client, PEM.",
			set: func(o *options, v string) error { o.tls.cert = v; return nil }},
		{names: []string{"--key"}, arg: "FILE", in: forAll, help: "Private key of this client, PEM.",
			set: func(o *options, v string) error { o.tls.key = v; return nil }},
		{names: []string{"--keyform"}, arg: "FORM", in: forAll, help: "Form of the key; only pem is supported.",
			set: func(o *options, v string) error {
				o.tls.keyForm = v
				if !strings.EqualFold(v, "pem") {
					return errors.New("only pem is supported")
				}
				return nil
			}},
		{names: []string{"--insecure"}, in: forAll, help: "Do not check that the server's certificate is for its host name. Only for tests.",
			set: func(o *options, _ string) error { o.tls.insecure = true; return nil }},
		{names: []string{"--tls-version"}, arg: "VERSION", in: forAll, help: "Lowest version: tlsv1.3, tlsv1.2 (default) or tlsv1.1.", set: (*options).setTLSVersion},
		{names: []string{"--ciphers"}, arg: "LIST", in: forAll, help: "Cipher suites for TLS 1.2 by their OpenSSL or IANA names, separated by colons.", set: (*options).setCiphers},
		{names: []string{"--tls-alpn"}, arg: "PROTOCOL", in: forAll, help: "Application protocol to ask for.",
			set: func(o *options, v string) error { o.tls.alpn = v; return nil }},
		{names: []string{"--tls-keylog"}, arg: "FILE", in: forAll, help: "Append the secrets of the TLS sessions to this file, to decrypt recorded traffic with. Only for tests.",
			set: func(o *options, v string) error { o.tls.keyLog = keyLog(v); return nil }},
		{names: []string{"--no-tls"}, in: forAll, help: "Do not use TLS, whatever the port.",
			set: func(o *options, _ string) error { o.tls.off = true; return nil }},
		{names: []string{"--psk"}, arg: "KEY", in: forAll, help: "Not supported.", set: refuse(noPSK)},
		{names: []string{"--psk-identity"}, arg: "NAME", in: forAll, help: "Not supported.", set: refuse(noPSK)},
		{names: []string{"--tls-engine"}, arg: "ENGINE", in: forAll, help: "Not supported.", set: refuse(noEngine)},
		{names: []string{"--tls-engine-kpass-sha1"}, arg: "HASH", in: forAll, help: "Not supported.", set: refuse(noEngine)},
	}
}

func number(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		if high == math.MaxInt32 {
			return 0, errors.New("must be a number of " + strconv.Itoa(low) + " or more")
		}
		return 0, errors.New("must be a number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high))
	}
	return n, nil
}

func (o *options) setVersion(v string) error {
	switch v {
	case "31", "mqttv31":
		o.version = packet.V31
	case "311", "mqttv311":
		o.version = packet.V311
	case "5", "mqttv5":
		o.version = packet.V5
	default:
		return errors.New("must be 31, 311 or 5")
	}
	return nil
}

// setRetainHandling goes before what -R asks of the server.
func (o *options) setRetainHandling(v string) error {
	for i, name := range []string{"always", "new", "never"} {
		if v == name {
			o.retainHandling = packet.Some(byte(i))
			return nil
		}
	}
	return errors.New("must be always, new or never")
}

// setExpiry also chooses 5.0, without which there is no such thing. A -V behind it has the last word.
func (o *options) setExpiry(v string) error {
	o.version = packet.V5
	if v == "∞" || v == "-1" {
		o.expiry = packet.Some[uint32](math.MaxUint32)
		return nil
	}
	n, err := strconv.ParseUint(v, 0, 32)
	if err != nil {
		return errors.New("must be a number of seconds up to 4294967295, or -1 or ∞ for ever")
	}
	o.expiry = packet.Some(uint32(n))
	return nil
}
