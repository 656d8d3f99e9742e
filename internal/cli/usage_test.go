package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/cli"
)

// Who mistypes reads what was wrong, and what to write instead.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"serv", "unexpected argument serv: the commands are backup, bench, "},
		{"mosquitto.conf", "unexpected argument mosquitto.conf: a configuration file comes after -c (see nightjar serve --help)"},
		{"serve usage_test.go", "a configuration file comes after -c"},
		{"mqtt://localhost", "comes after --listen"},
		{"--listne x", `unknown flag --listne, did you mean "--listen"? (see nightjar serve --help)`},
		{"serve -c", "--config needs a value (see nightjar serve --help)"},
		{"--port", "--port needs a value"},
		{"-p 70000", "70000: a port is a number from 1 to 65535"},
		{"--durability fast", `--durability must be one of "sync","relaxed","none" but got "fast"`},
		{"check", `expected "<file>": check <file> [flags] (see nightjar check --help)`},
		{"bench -n 0 pair", "-n 0 is nothing that pair could do: give more, or leave it out for 500000"},
		{"bench --rate 0 paced", "--rate 0 is nothing that paced could do"},
		{"bench --hold 0s idle", "--hold 0s: give more, or leave it out for 5s"},
		{"bench --quiet 0s pair", "--quiet 0s would give up at once"},
		{"bench -p 1884 pair", "unknown flag -p: where the broker listens comes after --url, as in --url mqtt://localhost:1884 (see"},
		{"bridge house.conf", "(see nightjar bridge --help)"},
		{"inspect --jsn", "(see nightjar inspect --help)"},
		{"--allow-anonymous", "add --listen mqtt://0.0.0.0:1883"},
	} {
		var out, errs bytes.Buffer
		s := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs, Env: func(string) string { return "" }}
		if code := cli.Main(t.Context(), "1.0", append([]string{"nightjar"}, strings.Fields(c.args)...), s); code != 3 {
			t.Errorf("%s: exit status %d, want 3", c.args, code)
		}
		if !strings.Contains(errs.String(), c.want) {
			t.Errorf("nightjar %s\n  says %s  want %s", c.args, errs.String(), c.want)
		}
	}
}
