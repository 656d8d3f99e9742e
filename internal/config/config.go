package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"time"
)

// Config is all that can be configured, as plain data. The zero value of a
// limit means that nothing was said and the broker's default holds; a negative
// one means "no limit".
type Config struct {
	// Listeners are where clients connect, ready to use: the default listener is
	// among them where it applies, and each carries its own Security.
	Listeners []Listener
	// LocalOnly says that the file names no listener, so the Listeners are those
	// of the loopback addresses.
	LocalOnly bool
	// PerListener is per_listener_settings.
	PerListener bool
	// Security is what holds for all listeners unless PerListener is set.
	Security Security

	Limits      Limits
	Persistence Persistence
	Log         Log
	Bridges     []Bridge
	Plugins     []Plugin

	PIDFile string
	// User is whom a process of root becomes; "" means "mosquitto" if it exists,
	// else "nobody".
	User string
	// SysInterval is how often $SYS is updated; 0: not said, negative: never.
	SysInterval time.Duration
	// NoDelay is set_tcp_nodelay.
	NoDelay bool
	// NoControl is enable_control_api false: no $CONTROL topics.
	NoControl bool
}

// Pos is a line of a configuration file.
type Pos struct {
	File string
	Line int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Protocol is what is spoken at a listener.
type Protocol string

// The protocols of listeners.
const (
	MQTT      Protocol = "mqtt"
	WebSocket Protocol = "websockets"
	HTTPAPI   Protocol = "http_api"
)

// Listener is an address that clients connect to.
type Listener struct {
	Pos  Pos    // of its first line; without a line when no line asked for it
	Port int    // 0 with UnixPath
	Host string // "" is every address
	// UnixPath is the path of a Unix socket.
	UnixPath string
	// Optional listeners need not open: a machine may have no IPv6.
	Optional bool
	// Interface, when set, is the only network device to listen on.
	Interface string
	// Family restricts the listener to "ipv4" or "ipv6".
	Family   string
	Protocol Protocol

	// MountPoint is put before every topic of the listener's clients.
	MountPoint     string
	MaxConnections int // 0 or negative: no limit
	MaxQoS         byte
	// MaxTopicAlias is how many aliases a client may use, MaxTopicAliasOut how
	// many the broker uses; 0: not said, negative: none.
	MaxTopicAlias    int
	MaxTopicAliasOut int
	// RefuseVersions are the protocol versions (3, 4, 5) that are not accepted.
	RefuseVersions []byte

	// ProxyProtocol is the version of the PROXY protocol that every connection
	// must begin with; 0: none. ProxyRequireTLS refuses those that did not reach
	// the proxy over TLS.
	ProxyProtocol   int
	ProxyRequireTLS bool

	// Origins are the Origin headers accepted of browsers; empty: all.
	Origins []string
	// HTTPDir is a directory of files that a WebSocket listener serves.
	HTTPDir string

	TLS TLS
	// IdentityAsUsername and SubjectAsUsername make the common name or the whole
	// subject of the client's certificate its user name, without a password. The
	// first wins.
	IdentityAsUsername bool
	SubjectAsUsername  bool
	// UsernameAsClientID replaces the client identifier by the user name; clients
	// without one are refused.
	UsernameAsClientID bool

	Security Security
}

// Network returns the network to listen on: tcp, tcp4, tcp6 or unix.
func (l *Listener) Network() string {
	switch {
	case l.UnixPath != "":
		return "unix"
	case l.Family == "ipv4":
		return "tcp4"
	case l.Family == "ipv6":
		return "tcp6"
	}
	return "tcp"
}

// Address returns the address to listen on: host:port or a path.
func (l *Listener) Address() string {
	if l.UnixPath != "" {
		return l.UnixPath
	}
	return net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
}

// Security is who may connect and what they may do.
type Security struct {
	AllowAnonymous bool
	PasswordFile   string // "" means none
	ACLFile        string
	PSKFile        string
	// RefuseEmptyClientID is allow_zero_length_clientid false.
	RefuseEmptyClientID bool
	// AutoIDPrefix begins identifiers that the broker gives; "" means "auto-".
	AutoIDPrefix string
	// Plugins are indexes into Config.Plugins.
	Plugins []int
}

// Limits bound what clients may ask of the broker. 0: not said, negative: no
// limit.
type Limits struct {
	MaxInflightMessages int
	MaxInflightBytes    int
	MaxQueuedMessages   int
	MaxQueuedBytes      int
	DropOldest          bool // a full queue drops what has waited longest
	MaxPacketSize       int  // bytes
	MessageSizeLimit    int  // bytes of a payload
	MaxKeepAlive        time.Duration
	MaxClients          int // sessions, connected or not
	MaxUserClients      int // of those, of one user
	MaxSubscriptions    int // of one client
	MaxRetained         int // retained messages
	MaxRetainedBytes    int // what they take in memory
	ReceiveMaximum      int // messages of QoS 1 and 2 under way from one client
	LenientReceive      bool
	ConnectRate         int // CONNECTs a second from one address
	MaxConnections      int // over all listeners
	Memory              int // bytes
	HTTPHeader          int // bytes of the head of a request to a WebSocket listener
	// PersistentClientExpiration ends sessions that do not come back; 0: never.
	PersistentClientExpiration time.Duration
	// RetainExpiry ends retained messages; 0: never.
	RetainExpiry time.Duration
	// QueueQoS0 queues messages of QoS 0 for sessions without a connection.
	QueueQoS0 bool
	// NoRetain is retain_available false.
	NoRetain bool
	// UpgradeOutgoingQoS delivers with the QoS of the subscription.
	UpgradeOutgoingQoS bool
	// TrustRetained is check_retain_source false: a retained message is sent even
	// when who published it no longer may.
	TrustRetained bool
	// ClientIDPrefix, when set, must begin every client identifier.
	ClientIDPrefix string
}

// Persistence is where sessions and retained messages survive a restart.
type Persistence struct {
	Enabled bool
	// Dir is persistence_location; "" is the current directory.
	Dir string
	// File is the name of Mosquitto's database; "" is mosquitto.db.
	File string
	// Own: the directory is Nightjar's alone, as nightjar.toml says; else Mosquitto's
	// database may lie there too.
	Own bool
	// Durability is sync, relaxed or none; "" is sync.
	Durability string
}

// LogType is a set of kinds of log messages.
type LogType uint16

// The kinds of log messages.
const (
	LogError LogType = 1 << iota
	LogWarning
	LogNotice
	LogInformation
	LogDebug
	LogSubscribe
	LogUnsubscribe
	LogWebSockets
	LogInternal

	LogNone    LogType = 0
	LogDefault         = LogError | LogWarning | LogNotice | LogInformation
	LogAll     LogType = math.MaxUint16
)

// ForPeople is the TimestampFormat where no mosquitto.conf says another one.
const ForPeople = "%Y-%m-%d %H:%M:%S"

// Log is what is logged, how and where to.
type Log struct {
	Stdout, Stderr, Syslog, Topic bool
	// File is appended to, and opened again at SIGHUP; "" is none.
	File  string
	Types LogType
	// Facility is 0 to 7 for syslog's local0 to local7, negative for daemon.
	Facility int
	// NoTimestamp is log_timestamp false; TimestampFormat is one of strftime, ""
	// means seconds since 1970.
	NoTimestamp     bool
	TimestampFormat string
	// JSON writes objects instead of text; nightjar.toml alone can say so.
	JSON bool
	// NoConnections is connection_messages false.
	NoConnections bool
}

// PluginKind says what a plugin of Mosquitto does.
type PluginKind string

// The plugins that are known. What they do is built in.
const (
	UnknownPlugin   PluginKind = ""
	DynamicSecurity PluginKind = "dynamic-security"
	PasswordPlugin  PluginKind = "password-file"
	ACLPlugin       PluginKind = "acl-file"
	PersistPlugin   PluginKind = "persist-sqlite"
	SparkplugPlugin PluginKind = "sparkplug-aware"
)

// Plugin is a plugin that the file loads.
type Plugin struct {
	Pos     Pos
	Name    string // of plugin_load; else ""
	Path    string
	Kind    PluginKind
	Options []PluginOption
	// AllowSpecialChars is auth_plugin_deny_special_chars false.
	AllowSpecialChars bool
}

// PluginOption is plugin_opt_KEY VALUE.
type PluginOption struct{ Key, Value string }

// Option returns the value of an option, the last if there are several.
func (p *Plugin) Option(key string) string {
	for i := len(p.Options) - 1; i >= 0; i-- {
		if p.Options[i].Key == key {
			return p.Options[i].Value
		}
	}
	return ""
}

// Error is a line that cannot be accepted.
type Error struct {
	Pos  Pos
	Word string // the word at fault, often the keyword
	Msg  string // what is wrong
	Fix  string // what to write instead
}

func (e *Error) Error() string {
	s := e.Msg
	if e.Word != "" {
		s = fmt.Sprintf("%s: %s", e.Word, e.Msg)
	}
	if e.Pos.File != "" {
		s = e.Pos.String() + ": " + s
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}
