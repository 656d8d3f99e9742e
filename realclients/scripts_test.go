package realclients

import (
	"os/exec"
	"strings"
	"testing"
)

// paho for Python, by the habits that python/peer.py lists.
func TestPahoPython(t *testing.T) {
	if exec.Command("python3", "-c", "import paho.mqtt.enums").Run() != nil {
		Missing(t, "paho for Python 2", "pip install -r realclients/python/requirements.txt")
	}
	habits(t, "python3", "python/peer.py")
}

// npm's mqtt, by the habits that js/peer.mjs lists.
func TestNpmMqtt(t *testing.T) {
	if exec.Command("node", "--input-type=module", "--eval", "import './js/node_modules/mqtt/build/index.js'").Run() != nil {
		Missing(t, "npm's mqtt", "npm ci in realclients/js")
	}
	habits(t, "node", "js/peer.mjs")
}

// habits runs each habit that a script lists against a broker of its own.
func habits(t *testing.T, interpreter, script string) {
	names := strings.Fields(run(t, "", interpreter, script, "list"))
	if len(names) < 5 {
		t.Fatalf("%s lists only %q", script, names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Start(t)
			if out := run(t, "", interpreter, script, name, s.Port, s.WSPort); !strings.HasSuffix(out, "ok\n") {
				t.Errorf("%s printed %q", name, out)
			}
		})
	}
}
