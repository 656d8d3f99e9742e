package passwd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/auth"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// passwd runs nightjar passwd; in is what is typed.
func passwd(in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = Run("nightjar passwd", args, strings.NewReader(in), &o, &e)
	return code, o.String(), e.String()
}

func TestPasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	steps := []struct {
		in   string
		args []string
		code int
		says string // in what is printed
	}{
		{"", []string{file, "ann"}, 1, "-c begins a new file"},
		{"", []string{"-c", "-b", "-H", "sha512", file, "ann", "one"}, 0, "Adding"},
		{"two\n", []string{"-H", "sha512-pbkdf2", "-I", "10", file, "bob"}, 0, "Adding"},
		{"three", []string{file, "cid"}, 0, "Adding"},
		{"", []string{"-b", file, "ann", "-four"}, 0, "Updating"},
		{"six\nsix\n", []string{file, "cid"}, 0, "Updating"},
		{"six\nseven\n", []string{file, "cid"}, 1, "do not match"},
		{"\n", []string{file, "ann"}, 1, "empty"},
		{"", []string{"-b", file, "ann", ""}, 1, "empty"},
		{"", []string{"-b", file, "ann"}, 1, "PASSWORD is missing"},
		{"", []string{file, "ann", "one"}, 1, "needs -b"},
		{"", []string{"-b", file, "a:b", "x"}, 1, "colon"},
		{"", []string{"-H", "md5", file, "ann"}, 1, "md5"},
		{"", []string{"-H"}, 1, "without a value"},
		{"", []string{"-I", "0", file, "ann"}, 1, "above 0"},
		{"", []string{"-I", "5", file, "ann"}, 1, "sha512-pbkdf2 only"},
		{"", []string{"-c", "-D", file, "ann"}, 1, "do not go together"},
		{"", []string{"-U", "-b", file}, 1, "-U goes without"},
		{"", []string{"-x", file}, 1, "unknown flag"},
		{"", []string{"-D", file, "nobody"}, 1, "is not in"},
		{"", []string{"-D", file, "cid"}, 0, ""},
		{"", []string{"-c", "-b", filepath.Dir(file), "ann", "one"}, 1, "it is a directory"},
		{"", []string{"-c", "-b", file + "/no/pw", "ann", "one"}, 1, "make a file in " + file + "/no: "},
		{"", []string{"--help"}, 0, "Usage"},
		{"five\n", []string{"-c", "-H", "sha512-pbkdf2", "-I", "7", "-", "dan"}, 0, "dan:$7$7$"},
	}
	for _, s := range steps {
		code, out, errs := passwd(s.in, s.args...)
		if code != s.code || !strings.Contains(out+errs, s.says) {
			t.Errorf("%q: exit %d: %s%s", s.args, code, out, errs)
		}
	}
	u, err := auth.LoadUsers(file)
	if err != nil || u.Len() != 2 || !u.Verify("ann", []byte("-four")) || !u.Verify("bob", []byte("two")) {
		t.Errorf("%v, %v", u, err)
	}
}

func TestPasswdUpdates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("# ours\nann:plain\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := passwd("", "-H", "sha512", "-U", file); code != 0 {
		t.Fatal(errs)
	}
	if u, err := auth.LoadUsers(file); err != nil || !u.Verify("ann", []byte("plain")) {
		t.Errorf("%v, %v", u, err)
	}
}

// One file, changed in turn by both tools, serves both.
func TestPasswdWithMosquitto(t *testing.T) {
	theirs := mosquittotest.Program(t, "mosquitto_passwd")
	file := filepath.Join(t.TempDir(), "pw")
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(theirs, args...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	ours := func(args ...string) {
		t.Helper()
		if code, _, errs := passwd("", args...); code != 0 {
			t.Fatalf("%q: %s", args, errs)
		}
	}
	run("-c", "-b", file, "ann", "one")
	ours("-H", "sha512-pbkdf2", "-b", file, "bob", "two")
	run("-H", "sha512", "-b", file, "cid", "three")
	ours("-H", "sha512", "-b", file, "dan", "four")
	run("-b", file, "bob", "other")
	ours("-H", "sha512-pbkdf2", "-b", file, "ann", "new")
	run("-D", file, "cid")
	ours("-D", file, "dan")
	u, err := auth.LoadUsers(file)
	if err != nil || u.Len() != 2 || !u.Verify("ann", []byte("new")) || !u.Verify("bob", []byte("other")) {
		t.Fatalf("%v, %v", u, err)
	}
	b := mosquittotest.Start(t, "allow_anonymous false\npassword_file "+file)
	pub := mosquittotest.Program(t, "mosquitto_pub")
	for password, want := range map[string]bool{"new": true, "one": false} {
		err := exec.Command(pub, "-p", b.Port, "-u", "ann", "-P", password, "-t", "a", "-m", "x", "-q", "1").Run()
		if (err == nil) != want {
			t.Errorf("mosquitto with password %q: %v", password, err)
		}
	}
}
