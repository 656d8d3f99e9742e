package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// The exit statuses of mosquitto's clients that are not CONNACK codes.
const (
	exitFailure      = 1
	exitProtocol     = 2
	exitNoConnection = 4
	exitLost         = 7
	exitTimeout      = 27
)

// clientOptions translates the command line for the client library. session may be nil.
func (o *options) clientOptions(out *output, session *client.Session) (client.Options, error) {
	c := client.Options{
		Version: o.version, ClientID: o.clientID(), Resume: o.resume, Session: session,
		KeepAlive: time.Duration(o.keepAlive) * time.Second, Inflight: o.inflight, Dial: o.dial, SessionExpiry: o.expiry,
	}
	if o.user != nil {
		c.Username = *o.user
	}
	if o.password != nil {
		c.Password = []byte(*o.password)
	}
	if o.will.Topic != "" {
		c.Will = o.willProps.will(o.will)
	}
	p := o.connectProps
	if n := p.number(0x11); n.Set {
		c.SessionExpiry = n
	}
	c.ReceiveMaximum, c.MaximumPacketSize = p.short(0x21).Or(0), p.number(0x27).Or(0)
	if o.count > 0 && o.count < 20 && c.ReceiveMaximum == 0 {
		c.ReceiveMaximum = uint16(o.count) // so that not more are taken than will be printed
	}
	c.TopicAliasMaximum = p.short(0x22).Or(0)
	c.RequestProblemInfo, c.RequestResponseInfo, c.User = p.byteValue(0x17), p.byteValue(0x19), p.user()
	if m := p.text(0x15); m.Set {
		c.Auth = oneStepAuth{m.Value, p.bytes(0x16)}
	}
	if o.useTLS() {
		config, err := o.tls.config()
		if err != nil {
			return c, err
		}
		c.TLS = config
	} else if o.tls.cert != "" {
		return c, errors.New("--cert without TLS: add --cafile, --capath or --tls-use-os-certs")
	}
	if o.debug {
		c.Trace = newTrace(out, c.ClientID).packet
	}
	return c, nil
}

// clientID is that of -i or -I. Without them the server chooses, except in 3.1, where it cannot.
func (o *options) clientID() string {
	switch {
	case o.idPrefix != "":
		return o.idPrefix + strconv.Itoa(os.Getpid())
	case o.id == "" && o.version < packet.V311:
		return "nightjar-" + rand.Text()[:12]
	}
	return o.id
}

// url names the server for the client library.
func (o *options) url() string {
	if o.unix != "" {
		return "unix://" + o.unix
	}
	scheme := "mqtt"
	if o.ws {
		scheme = "ws"
	}
	port := o.port
	if port < 0 {
		port = 1883
	}
	if o.useTLS() {
		scheme += "s"
		if o.port < 0 {
			port = 8883
		}
	}
	return scheme + "://" + net.JoinHostPort(o.server(), strconv.Itoa(port))
}

// server is the host, or the path of the socket.
func (o *options) server() string {
	return cmp.Or(o.unix, o.host, "localhost")
}

// dial makes the transport: bound to an address, found by SRV record, through a proxy.
func (o *options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := new(net.Dialer)
	if network == "unix" {
		return d.DialContext(ctx, network, o.unix)
	}
	d.SetMultipathTCP(o.mptcp)
	if o.bind != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(o.bind, "0"))
		if err != nil {
			return nil, fmt.Errorf("-A %s: %w", o.bind, err)
		}
		d.LocalAddr = local
	}
	if o.srv {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		_, records, err := net.DefaultResolver.LookupSRV(ctx, "mqtt", "tcp", host)
		if err != nil || len(records) == 0 {
			return nil, fmt.Errorf("-S: no SRV record _mqtt._tcp.%s: %w", host, err)
		}
		address = net.JoinHostPort(strings.TrimSuffix(records[0].Target, "."), strconv.Itoa(int(records[0].Port)))
	}
	if o.proxy != "" {
		through, err := client.Proxy(o.proxy, d.DialContext)
		if err != nil {
			return nil, err
		}
		return through(ctx, network, address)
	}
	return d.DialContext(ctx, network, address)
}

// failedConnect explains why there is no connection and gives the exit status: the CONNACK code of the version in use if
// the server refused, else 1.
func (o *options) failedConnect(err error) int {
	var refused *client.Error
	if !errors.As(err, &refused) {
		hint := ""
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			hint = "; check -h and -p"
		}
		if _, port, perr := net.SplitHostPort(o.host); perr == nil && port != "" { // an IPv6 address has more than one colon
			hint = fmt.Sprintf("; write -h %s -p %s", strings.TrimSuffix(o.host, ":"+port), port)
		}
		var authority x509.UnknownAuthorityError
		var name x509.HostnameError
		switch {
		case errors.As(err, &authority):
			hint = "; the certificate of the server is signed by nobody who is trusted here: name its authority with --cafile FILE"
		case errors.As(err, &name):
			hint = "; connect with -h and a name that the certificate has, or add --insecure for a test"
		}
		o.complain("Error: cannot connect to %s: %s%s", o.url(), strings.TrimPrefix(err.Error(), "connect: "), hint)
		return exitFailure
	}
	hint := ""
	switch refused.Code {
	case packet.NotAuthorized, packet.BadUserNameOrPassword:
		hint = "; check -u and -P"
	case packet.UnsupportedProtocolVersion:
		hint = "; try another version with -V"
	case packet.ClientIdentifierNotValid:
		hint = "; try another identifier with -i"
	}
	why := refused.Code.String()
	if refused.Reason != "" {
		why += ": " + refused.Reason
	}
	if refused.ServerReference != "" {
		hint = "; it names " + refused.ServerReference
	}
	o.complain("Connection error: the server refuses: %s%s", why, hint)
	if o.version >= packet.V5 {
		return int(refused.Code)
	}
	code, _ := refused.Code.ReturnCode()
	return int(code)
}

// oneStepAuth offers a method and data of -D connect. It can do no more than that.
type oneStepAuth struct {
	method string
	data   []byte
}

func (a oneStepAuth) Method() string         { return a.method }
func (a oneStepAuth) Start() ([]byte, error) { return a.data, nil }
func (a oneStepAuth) Continue(context.Context, []byte) ([]byte, error) {
	return nil, fmt.Errorf("the server continues with method %s, which this program cannot", a.method)
}
