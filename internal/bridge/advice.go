package bridge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/nightjarmq/nightjar/packet"
)

// advice says what to do about an attempt that failed; "" if that is not known.
func advice(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		plain     tls.RecordHeaderError
		no        *refusal
	)
	switch {
	case errors.As(err, &authority):
		return "trust the authority that signed the other broker's certificate (bridge_cafile; ca in nightjar.toml)"
	case errors.As(err, &name):
		return "use the name that the other broker's certificate has as its address, or bridge_insecure"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the other broker's certificate, or set this machine's clock"
	case errors.As(err, &alert):
		return "the other broker does not take the bridge's certificate (bridge_certfile; certificate in nightjar.toml)"
	case errors.As(err, &plain):
		return "the other broker does not speak TLS at this port: use its other port, or no TLS"
	case errors.As(err, &no) && no.at == "remote" && (no.code == packet.BadUserNameOrPassword || no.code == packet.NotAuthorized):
		return "set the user and password that the other broker expects (remote_username, remote_password; remote in nightjar.toml)"
	}
	return ""
}
