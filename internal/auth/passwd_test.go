package auth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pw")
	p := NewPasswordFile(path)
	fast := HashOptions{Form: PBKDF2, Iterations: 10}
	if added, err := p.Set("alice", []byte("one"), fast); err != nil || !added {
		t.Fatal(added, err)
	}
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if open, err := Exposed(path); open || err != nil {
		t.Errorf("exposed: %v, %v", open, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if open, err := Exposed(path); !open || err != nil {
		t.Errorf("exposed: %v, %v", open, err)
	}
	if err := os.WriteFile(path, []byte("# ours\n"+aliceLine+"\n\nbob:plain text \n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err = OpenPasswordFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.HashPlain(fast); err != nil || n != 1 {
		t.Errorf("%d hashed, %v", n, err)
	}
	if added, err := p.Set("alice", []byte("two"), fast); err != nil || added {
		t.Error(added, err)
	}
	if _, err := p.Set("carol", []byte("three"), fast); err != nil {
		t.Error(err)
	}
	if !p.Delete("carol") || p.Delete("carol") || p.Delete("# ours") {
		t.Error("delete")
	}
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(b), "# ours\nalice:$7$10$") || strings.Count(string(b), "\n") != 4 {
		t.Errorf("%s, %v", b, err)
	}
	info, err = os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	u, err := LoadUsers(path)
	if err != nil || u.Len() != 2 || !u.Verify("alice", []byte("two")) || !u.Verify("bob", []byte("plain text")) {
		t.Errorf("%v, %v", u, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPasswordFileRefuses(t *testing.T) {
	p := NewPasswordFile(filepath.Join(t.TempDir(), "none", "pw"))
	for _, user := range []string{"", "a:b", "a\nb", " a", "#a", strings.Repeat("x", 65536)} {
		if _, err := p.Set(user, nil, HashOptions{Form: SHA512}); err == nil {
			t.Errorf("user %.20q is accepted", user)
		}
	}
	if _, err := p.Set("a", make([]byte, 65536), HashOptions{Form: SHA512}); err == nil {
		t.Error("a long password is accepted")
	}
	if p.Save() == nil {
		t.Error("saved where there is no directory")
	}
	for _, text := range []string{"a:\n", "a:$6$bad\n"} {
		path := filepath.Join(t.TempDir(), "pw")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := OpenPasswordFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.HashPlain(HashOptions{}); err == nil {
			t.Errorf("%q is hashed", text)
		}
	}
	if _, err := OpenPasswordFile("testdata/none"); err == nil {
		t.Error("a missing file is no error")
	}
}

// A link to the file stays a link.
func TestPasswordFileKeepsLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte(aliceLine+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	p, err := OpenPasswordFile(link)
	if err != nil {
		t.Fatal(err)
	}
	p.Delete("alice")
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if b, err := os.ReadFile(real); err != nil || len(b) != 0 {
		t.Errorf("%q, %v", b, err)
	}
}
