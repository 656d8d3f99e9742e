package passwd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/nightjarmq/nightjar/internal/auth"
)

const usage = `Usage: %[1]s [-H FORM] [-I N] [-c | -D] FILE USER
       %[1]s [-H FORM] [-I N] [-c] -b FILE USER PASSWORD
       %[1]s [-H FORM] [-I N] -U FILE

Change a password file of Nightjar or Mosquitto. Without -b the password is asked
for at the terminal, or read from a line of standard input.

 -b  take the password from the command line, where others may see it
 -c  begin a new file; one that is there is replaced. FILE - prints the line instead
 -D  remove the user
 -H  form of the hash: argon2id (default, Mosquitto 2.1 and later),
     sha512-pbkdf2 (Mosquitto 1.6 and later) or sha512 (older)
 -I  iterations of sha512-pbkdf2, at least 1 (default 100000)
 -U  hash the passwords of FILE that are not
`

// options are the command line of passwd.
type options struct {
	batch, create, remove, update bool
	hash                          auth.HashOptions
	file, user, password          string
}

// streams are what the command reads and writes.
type streams struct {
	in        io.Reader
	out, errs io.Writer
}

// Run changes a password file as mosquitto_passwd does, and returns the exit code,
// as there: 1 for whatever goes wrong. name is how the program was called.
func Run(name string, args []string, in io.Reader, out, errs io.Writer) int {
	s := streams{in, out, errs}
	for _, a := range args {
		if a == "-h" || a == "--help" {
			fmt.Fprintf(s.out, usage, name)
			return 0
		}
		if !strings.HasPrefix(a, "-") {
			break
		}
	}
	o, err := parse(args)
	if err != nil {
		fmt.Fprintf(s.errs, "%s: %v\n"+usage[:strings.Index(usage, "\n\n")+1], name, err)
		return 1
	}
	if err := o.run(s); err != nil {
		fmt.Fprintf(s.errs, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// parse reads the command line. Flags come first, each by itself, so that a
// password may begin with a dash.
func parse(args []string) (o options, err error) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		flag := args[0]
		args = args[1:]
		switch flag {
		case "-b":
			o.batch = true
		case "-c":
			o.create = true
		case "-D":
			o.remove = true
		case "-U":
			o.update = true
		case "-H", "-I":
			if len(args) == 0 {
				return o, errors.New(flag + " without a value")
			}
			if err := o.setHash(flag, args[0]); err != nil {
				return o, err
			}
			args = args[1:]
		default:
			return o, fmt.Errorf("unknown flag %s", flag)
		}
	}
	return o, o.operands(args)
}

func (o *options) setHash(flag, value string) error {
	if flag == "-H" {
		o.hash.Form = auth.Form(value)
		switch o.hash.Form {
		case auth.Argon2id, auth.PBKDF2, auth.SHA512:
			return nil
		}
		return fmt.Errorf("-H %s: write argon2id, sha512-pbkdf2 or sha512", value)
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return fmt.Errorf("-I %s: write a number above 0", value)
	}
	o.hash.Iterations = n
	return nil
}

// operands checks which flags go together and takes what follows them.
func (o *options) operands(args []string) error {
	switch {
	case o.create && o.remove:
		return errors.New("-c and -D do not go together: -c begins a file, -D removes a user from one")
	case o.update && (o.batch || o.create || o.remove):
		return errors.New("-U goes without -b, -c and -D")
	case o.batch && o.remove:
		return errors.New("-b and -D do not go together: who is removed needs no password")
	case o.hash.Iterations != 0 && o.hash.Form != auth.PBKDF2:
		return errors.New("-I is of -H sha512-pbkdf2 only")
	}
	into := []*string{&o.file, &o.user, &o.password}
	names := []string{"FILE", "USER", "PASSWORD"}
	switch {
	case o.update:
		into = into[:1]
	case !o.batch:
		into = into[:2]
	}
	if len(args) < len(into) {
		return fmt.Errorf("%s is missing", names[len(args)])
	}
	if len(args) > len(into) {
		return fmt.Errorf("%q is too much; flags come before FILE, and a password on the command line needs -b", args[len(into)])
	}
	for i := range into {
		*into[i] = args[i]
	}
	return nil
}

func (o *options) run(s streams) error {
	if o.create && o.file == "-" {
		return o.print(s)
	}
	f := auth.NewPasswordFile(o.file)
	if !o.create {
		var err error
		if f, err = auth.OpenPasswordFile(o.file); err != nil {
			return fmt.Errorf("%w (-c begins a new file)", err)
		}
	}
	done := ""
	switch {
	case o.update:
		if _, err := f.HashPlain(o.hash); err != nil {
			return err
		}
	case o.remove:
		if !f.Delete(o.user) {
			return fmt.Errorf("user %q is not in %s", o.user, o.file)
		}
	default:
		password, err := o.secret(s)
		if err != nil {
			return err
		}
		added, err := f.Set(o.user, password, o.hash)
		if err != nil {
			return err
		}
		if done = "Updating"; added {
			done = "Adding"
		}
	}
	if err := f.Save(); err != nil {
		return err
	}
	if done != "" {
		fmt.Fprintf(s.out, "%s password for user %s\n", done, o.user)
	}
	return nil
}

// print writes the line of a user to standard output.
func (o *options) print(s streams) error {
	password, err := o.secret(s)
	if err != nil {
		return err
	}
	f := auth.NewPasswordFile("")
	if _, err := f.Set(o.user, password, o.hash); err != nil {
		return err
	}
	fmt.Fprint(s.out, f.String())
	return nil
}

// secret is the password of the command line, of the terminal, where it is typed
// twice and not shown, or of a line of standard input. Scripts that were written
// for mosquitto_passwd give it twice there too.
func (o *options) secret(s streams) ([]byte, error) {
	if o.batch {
		if o.password == "" {
			return nil, errors.New("the password is empty")
		}
		return []byte(o.password), nil
	}
	in := bufio.NewReader(s.in)
	tty, _ := s.in.(*os.File)
	show, hidden := hideTyping(tty)
	if !hidden {
		return secretLines(in)
	}
	defer show()
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(s.errs, prompt)
		defer fmt.Fprintln(s.errs)
		return secretLine(in)
	}
	first, err := ask("Password: ")
	if err != nil {
		return nil, err
	}
	second, err := ask("Reenter password: ")
	if err != nil {
		return nil, err
	}
	if string(first) != string(second) {
		return nil, errMismatch
	}
	return first, nil
}

var errMismatch = errors.New("the passwords do not match")

func secretLines(r *bufio.Reader) ([]byte, error) {
	first, err := secretLine(r)
	if err != nil {
		return nil, err
	}
	if _, err := r.Peek(1); err != nil {
		return first, nil // one is enough
	}
	if second, err := secretLine(r); err != nil || string(first) != string(second) {
		return nil, errMismatch
	}
	return first, nil
}

func secretLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return nil, errors.New("the password is empty")
	}
	return []byte(line), nil
}
