package cli

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/config"
)

// listenerName is how logs and access control name a listener.
func listenerName(l *config.Listener) string { return l.Address() }

// listener makes the broker's listener of a configured one. The Reloader serves
// its certificates; it is nil without TLS.
func listener(l *config.Listener) (broker.Listener, *config.Reloader, error) {
	b := broker.Listener{
		Name: listenerName(l), Network: l.Network(), Address: l.Address(), Device: l.Interface, Optional: l.Optional,
		WebSocket: l.Protocol == config.WebSocket, HTTPOnly: l.Protocol == config.HTTPAPI, AllowedOrigins: l.Origins,
		MaxConnections: max(l.MaxConnections, 0), Anonymous: l.Security.AllowAnonymous, RefuseVersions: l.RefuseVersions,
		MaxQoS: &l.MaxQoS, MaxTopicAlias: l.MaxTopicAlias, MaxTopicAliasOut: l.MaxTopicAliasOut,
		RefuseEmptyClientID: l.Security.RefuseEmptyClientID, ClientIDPrefix: l.Security.AutoIDPrefix,
		MountPoint: l.MountPoint, UserIsClientID: l.UsernameAsClientID,
		Proxy: broker.Proxy{Version: l.ProxyProtocol, RequireTLS: l.ProxyRequireTLS},
	}
	if b.Network == "unix" {
		b.UnixMode = fs.FileMode(0o666) // as Mosquitto: the folder guards it
	}
	if l.HTTPDir != "" {
		root, err := os.OpenRoot(l.HTTPDir) // nothing outside is served, not by a link either
		if err != nil {
			return b, nil, &config.Error{Pos: l.Pos, Word: "http_dir", Msg: fmt.Sprintf("open the directory: %v", err), Fix: "create it, or remove the line"}
		}
		b.HTTP = http.FileServerFS(root.FS())
	}
	r, err := config.TLSConfig(l)
	if err != nil || r == nil {
		return b, nil, err
	}
	b.TLS = r.Config
	return b, r, nil
}
