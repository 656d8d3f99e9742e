package admin

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// API answers HTTP requests about a broker.
type API struct {
	version string
	broker  atomic.Pointer[broker.Broker]
	more    []func(io.Writer)

	unreadable bool // /proc/self/io is; see NoteRights
}

// Listener is where requests come in.
type Listener struct {
	Name      string       // as the broker's Auth knows it
	Anonymous bool         // nobody is asked for a name and password
	Files     http.Handler // what is not ours; nil: nothing
}

// New makes an API of a program of that version. It answers that it is not ready
// until [API.Attach]. Each of more writes metrics of its own.
func New(version string, more ...func(io.Writer)) *API {
	return &API{version: version, more: more}
}

// Attach names the broker that is spoken about.
func (a *API) Attach(b *broker.Broker) { a.broker.Store(b) }

// Handler answers requests at a listener. Health is told to everybody; for all
// else a user is asked for, unless the listener is anonymous.
func (a *API) Handler(at Listener) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	for path, show := range map[string]func(http.ResponseWriter, *broker.Broker){
		"/metrics":          a.metrics,
		"/api/v1/version":   a.showVersion,
		"/api/v1/systree":   a.systree,
		"/api/v1/listeners": a.listeners,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if b := a.admit(w, r, &at); b != nil {
				show(w, b)
			}
		})
	}
	if at.Files != nil {
		mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
			if a.admit(w, r, &at) != nil {
				at.Files.ServeHTTP(w, r)
			}
		})
	}
	return mux
}

// admit returns the broker if the request may be answered, and answers it
// otherwise.
func (a *API) admit(w http.ResponseWriter, r *http.Request, at *Listener) *broker.Broker {
	b := a.broker.Load()
	if b == nil {
		http.Error(w, "the broker is starting", http.StatusServiceUnavailable)
		return nil
	}
	who := broker.Attempt{ClientID: "http-api", Addr: r.RemoteAddr, Listener: at.Name, TLS: r.TLS, Anonymous: at.Anonymous}
	if name, password, ok := r.BasicAuth(); ok {
		who.Username, who.Password = packet.Some(name), packet.Some([]byte(password))
	}
	if _, err := b.Admit(r.Context(), &who); err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="Nightjar", charset="UTF-8"`)
		http.Error(w, "name a user who may connect to the broker", http.StatusUnauthorized)
		return nil
	}
	return b
}

func (a *API) ready(w http.ResponseWriter, _ *http.Request) {
	b := a.broker.Load()
	if b == nil {
		http.Error(w, "the broker is starting", http.StatusServiceUnavailable)
		return
	}
	if err := b.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// metrics is the text format of Prometheus.
func (a *API) metrics(w http.ResponseWriter, b *broker.Broker) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	metrics.WriteGaugeUint64(w, fmt.Sprintf("nightjar_info{version=%q}", a.version), 1)
	for _, f := range b.Figures() {
		switch {
		case f.Metric == "":
		case f.Counter():
			metrics.WriteCounterFloat64(w, f.Metric, f.Value)
		default:
			metrics.WriteGaugeFloat64(w, f.Metric, f.Value)
		}
	}
	for _, write := range a.more {
		write(w)
	}
	a.writeProcess(w)
}

func (a *API) showVersion(w http.ResponseWriter, _ *broker.Broker) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, a.version)
}

// systree is the numbers of $SYS by topic.
func (a *API) systree(w http.ResponseWriter, b *broker.Broker) {
	tree := make(map[string]float64)
	for _, f := range b.Figures() {
		switch {
		case f.Topic != "":
			tree["$SYS/broker/"+f.Topic] = f.Value
		case f.Metric == "nightjar_uptime_seconds":
			tree["$SYS/broker/uptime"] = float64(int64(f.Value))
		}
	}
	answer(w, tree)
}

// listener is a listener as Mosquitto's API tells of it.
type listener struct {
	Path      string `json:"path,omitempty"`
	Port      int    `json:"port,omitempty"`
	Protocol  string `json:"protocol"`
	TLS       bool   `json:"tls"`
	MTLS      bool   `json:"mtls"`
	Anonymous bool   `json:"allow_anonymous"`
}

func (a *API) listeners(w http.ResponseWriter, b *broker.Broker) {
	list := []listener{}
	for _, l := range b.Listening() {
		out := listener{Protocol: "mqtt", TLS: l.TLS != nil, Anonymous: l.Anonymous}
		if l.TLS != nil {
			require := l.TLS().ClientAuth
			out.MTLS = require == tls.RequireAnyClientCert || require == tls.RequireAndVerifyClientCert
		}
		switch {
		case l.HTTPOnly:
			out.Protocol = "httpapi"
		case l.WebSocket:
			out.Protocol = "websockets"
		}
		switch at := l.Addr.(type) {
		case *net.TCPAddr:
			out.Port = at.Port
		default:
			out.Path = at.String()
		}
		list = append(list, out)
	}
	answer(w, map[string]any{"listeners": list})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
