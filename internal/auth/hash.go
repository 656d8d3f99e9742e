package auth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Form is how a password is hashed.
type Form string

// The forms. Mosquitto 2.0 reads the first two, 2.1 reads all. SHA-512 is fast
// to guess and only read, or written for brokers older than 1.6.
const (
	SHA512   Form = "sha512"
	PBKDF2   Form = "sha512-pbkdf2"
	Argon2id Form = "argon2id"
)

// Costs of new hashes.
const (
	pbkdf2Iterations = 100_000
	argonTime        = 1
	argonMemory      = 47104 // KiB
	argonThreads     = 1
)

// Limits of what is read: a hash beyond would block the broker.
const (
	maxIterations  = 100_000_000
	maxArgonTime   = 1000
	maxArgonMemory = 4 << 20 // KiB
)

// Hash is a hashed password.
type Hash struct {
	form       Form
	salt, sum  []byte
	iterations int // of PBKDF2; passes of argon2id
	memory     uint32
	threads    uint8
}

// HashOptions say how a new hash is made; the zero value is argon2id.
type HashOptions struct {
	Form       Form
	Iterations int // of PBKDF2; 0: 100,000
}

// NewHash hashes a password with a random salt.
func NewHash(password []byte, o HashOptions) (Hash, error) {
	h := Hash{form: o.Form}
	size := 12 // the only length that Mosquitto 2.0 reads
	switch h.form {
	case "", Argon2id:
		h.form, h.iterations, h.memory, h.threads = Argon2id, argonTime, argonMemory, argonThreads
		size = 64
	case PBKDF2:
		h.iterations = o.Iterations
		if h.iterations == 0 {
			h.iterations = pbkdf2Iterations
		}
		if h.iterations < 1 || h.iterations > maxIterations {
			return h, fmt.Errorf("%d iterations: write a number from 1 to %d", h.iterations, maxIterations)
		}
	case SHA512:
	default:
		return h, fmt.Errorf("%q is not a form of hash: write argon2id, sha512-pbkdf2 or sha512", string(h.form))
	}
	h.salt = make([]byte, size)
	rand.Read(h.salt) // never fails
	h.sum = make([]byte, sha512.Size)
	sum, err := h.compute(password)
	h.sum = sum
	return h, err
}

// compute hashes a password with the salt and the cost of h.
func (h *Hash) compute(password []byte) ([]byte, error) {
	switch h.form {
	case PBKDF2:
		return pbkdf2.Key(sha512.New, string(password), h.salt, h.iterations, len(h.sum))
	case Argon2id:
		return argon2.IDKey(password, h.salt, uint32(h.iterations), h.memory, h.threads, uint32(len(h.sum))), nil
	default:
		d := sha512.New()
		d.Write(password)
		d.Write(h.salt)
		return d.Sum(nil), nil
	}
}

// Verify reports whether the password is the one that was hashed. What it costs
// does not depend on the password.
func (h *Hash) Verify(password []byte) bool {
	sum, err := h.compute(password)
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// Decoy returns a hash of the usual cost that no password fits.
func Decoy() Hash {
	h := Hash{form: PBKDF2, iterations: pbkdf2Iterations, salt: make([]byte, 12), sum: make([]byte, sha512.Size)}
	return h.Like()
}

// Like returns a hash of the same cost that no password fits.
func (h *Hash) Like() Hash {
	d := *h
	d.salt, d.sum = make([]byte, len(h.salt)), make([]byte, len(h.sum))
	rand.Read(d.salt)
	rand.Read(d.sum)
	return d
}

// cost tells hashes apart that take the same time.
func (h *Hash) cost() [4]int {
	kind := map[Form]int{SHA512: 0, PBKDF2: 1, Argon2id: 2}[h.form]
	return [4]int{kind, h.iterations, int(h.memory), int(h.threads)}
}

// String writes the hash as in a password file.
func (h *Hash) String() string {
	b64 := base64.StdEncoding
	switch h.form {
	case PBKDF2:
		return fmt.Sprintf("$7$%d$%s$%s", h.iterations, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
	case Argon2id:
		raw := base64.RawStdEncoding
		return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.iterations, h.threads, raw.EncodeToString(h.salt), raw.EncodeToString(h.sum))
	default:
		return fmt.Sprintf("$6$%s$%s", b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
	}
}

var errForm = errors.New("not a hashed password")

// ParseHash reads a hash as in a password file.
func ParseHash(s string) (Hash, error) {
	f := strings.Split(s, "$")
	switch {
	case len(f) == 4 && f[0] == "" && f[1] == "6":
		return parseSHA512(SHA512, 0, f[2], f[3])
	case len(f) == 5 && f[0] == "" && f[1] == "7":
		n, err := strconv.Atoi(f[2])
		if err != nil || n < 1 || n > maxIterations {
			return Hash{}, fmt.Errorf("%q iterations", f[2])
		}
		return parseSHA512(PBKDF2, n, f[3], f[4])
	case len(f) == 6 && f[0] == "" && f[1] == "argon2id":
		return parseArgon(f[2:])
	}
	return Hash{}, errForm
}

func parseSHA512(form Form, iterations int, salt, sum string) (Hash, error) {
	h := Hash{form: form, iterations: iterations}
	var err error
	if h.salt, err = decode(salt); err != nil {
		return h, fmt.Errorf("decode the salt: %w", err)
	}
	if h.sum, err = decode(sum); err != nil {
		return h, fmt.Errorf("decode the hash: %w", err)
	}
	if len(h.salt) == 0 || len(h.sum) != sha512.Size {
		return h, errors.New("the hash is not 64 bytes, or there is no salt")
	}
	return h, nil
}

// parseArgon reads the fields v=19, m=M,t=T,p=P, salt and hash.
func parseArgon(f []string) (Hash, error) {
	h := Hash{form: Argon2id}
	if f[0] != "v="+strconv.Itoa(argon2.Version) {
		return h, fmt.Errorf("version %q of argon2id", f[0])
	}
	var n [3]int
	cost := strings.Split(f[1], ",")
	for i, key := range []string{"m=", "t=", "p="} {
		var err error
		if len(cost) != 3 || !strings.HasPrefix(cost[i], key) {
			return h, fmt.Errorf("cost %q of argon2id", f[1])
		}
		if n[i], err = strconv.Atoi(cost[i][2:]); err != nil || n[i] < 1 {
			return h, fmt.Errorf("cost %q of argon2id", f[1])
		}
	}
	if n[0] > maxArgonMemory || n[1] > maxArgonTime || n[2] > 255 || n[0] < 8*n[2] {
		return h, fmt.Errorf("cost %q of argon2id is out of range", f[1])
	}
	h.memory, h.iterations, h.threads = uint32(n[0]), n[1], uint8(n[2])
	var err error
	if h.salt, err = decode(f[2]); err != nil {
		return h, fmt.Errorf("decode the salt: %w", err)
	}
	if h.sum, err = decode(f[3]); err != nil {
		return h, fmt.Errorf("decode the hash: %w", err)
	}
	if len(h.salt) == 0 || len(h.sum) < 16 || len(h.sum) > 1024 {
		return h, errors.New("the hash is not 16 to 1024 bytes, or there is no salt")
	}
	return h, nil
}

// decode reads base64 with or without padding.
func decode(s string) ([]byte, error) {
	return base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
}
