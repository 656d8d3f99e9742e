package realclients

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Missing ends the test because something is not installed: it is skipped, or failed where CI=true.
func Missing(t testing.TB, what, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI must test with it: %s", what, install)
	}
	t.Skipf("%s is missing: %s", what, install)
}

// command prepares a program that ends with the test.
func command(t testing.TB, ctx context.Context, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, "apt-get install mosquitto-clients python3 nodejs")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir()) // nothing of the user's
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run waits for a program that has to succeed, and returns what it wrote to standard output.
func run(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := command(t, ctx, name, args...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, shorten(out.String()), said.String())
	}
	return out.String()
}

// beside is a program that runs beside the test.
type beside struct {
	*Lines           // its standard output
	stderr *Lines    // its standard error
	cmd    *exec.Cmd //
	ended  chan struct{}
	err    error // of Wait, once ended is closed
}

// start runs a program until the end of the test at the longest.
func start(t testing.TB, name string, args ...string) *beside {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &beside{Lines: NewLines(), stderr: NewLines(), ended: make(chan struct{})}
	p.cmd = command(t, ctx, name, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.Lines, p.stderr
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		p.Lines.End()
		p.stderr.End()
		close(p.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
		if t.Failed() {
			t.Logf("%s %q said:\n%s\n%s", name, args, shorten(p.String()), p.stderr)
		}
	})
	return p
}

// signal sends a signal to the program.
func (p *beside) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end of the program and returns its exit status.
func (p *beside) exit(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(Patience):
		t.Fatalf("%s did not end", p.cmd)
	}
	return p.cmd.ProcessState.ExitCode()
}

func shorten(s string) string {
	if len(s) > 4000 {
		return s[:2000] + "\n...\n" + s[len(s)-2000:]
	}
	return s
}
