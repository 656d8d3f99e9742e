package cli

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestParseListen(t *testing.T) {
	for _, tc := range []struct {
		url, network, address, path string
		webSocket, secure           bool
	}{
		{url: "mqtt://127.0.0.1:1884", network: "tcp4", address: "127.0.0.1:1884"},
		{url: "mqtt://localhost", address: "localhost:1883"},
		{url: "mqtts://[::1]", address: "[::1]:8883", secure: true},
		{url: "ws://127.0.0.1/mqtt/", network: "tcp4", address: "127.0.0.1:9001", path: "/mqtt", webSocket: true},
		{url: "wss://localhost:9002", address: "localhost:9002", webSocket: true, secure: true},
		{url: "unix:///run/nightjar.sock", network: "unix", address: "/run/nightjar.sock"},
		{url: "unix://nightjar.sock", network: "unix", address: "nightjar.sock"},
	} {
		l, secure, err := parseListen(tc.url)
		if err != nil || l.Network != tc.network || l.Address != tc.address || l.WebSocketPath != tc.path || l.WebSocket != tc.webSocket || secure != tc.secure {
			t.Errorf("%s: %+v, secure %v, error %v", tc.url, l, secure, err)
		}
	}
}

// What cannot be meant is refused, and the error says what to write.
func TestListenRefused(t *testing.T) {
	for _, tc := range []struct {
		url, says string
	}{
		{"1884", "write it as a URL"},
		{"localhost:1884", "write it as a URL"},
		{"127.0.0.1:1884", "write it as a URL"},
		{"tls://127.0.0.1", "use mqtt, mqtts, ws, wss or unix"},
		{"mqtt://127.0.0.1:70000", "from 1 to 65535"},
		{"unix://", "the path of the socket is missing"},
		{"mqtts://127.0.0.1", "add --cert FILE and --key FILE"},
		{"mqtt://0.0.0.0", "add --allow-anonymous"},
	} {
		f := listenFlags{Listen: []string{tc.url}}
		if _, err := f.listeners(); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("--listen %s: error %v, want %q", tc.url, err, tc.says)
		}
	}
}

// A certificate that no listener uses would leave everything in the clear.
func TestUnusedCertificate(t *testing.T) {
	pair := new(tls.Config)
	for _, tc := range []struct {
		urls []string
		ok   bool
	}{
		{nil, false},
		{[]string{"mqtt://127.0.0.1", "unix:///run/nightjar.sock"}, false},
		{[]string{"mqtt://127.0.0.1", "mqtts://127.0.0.1"}, true},
		{[]string{"wss://127.0.0.1"}, true},
	} {
		f := listenFlags{Listen: tc.urls}
		if _, err := f.listenersWith(pair); (err == nil) != tc.ok {
			t.Errorf("%q: error %v", tc.urls, err)
		}
	}
}

func TestPortNumber(t *testing.T) {
	for text, want := range map[string]portNumber{"1": 1, "1884": 1884, "65535": 65535, "0": 0, "65536": 0, "-1": 0, "http": 0, "": 0} {
		var p portNumber
		if err := p.UnmarshalText([]byte(text)); p != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, error %v; want %d", text, p, err, want)
		}
	}
}
