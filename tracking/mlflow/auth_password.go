package mlflow

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

const (
	passwordScheme = "pbkdf2-sha256"
	// passwordRounds is what OWASP recommends for PBKDF2 with SHA-256.
	passwordRounds    = 600_000
	minPasswordRounds = 1000
	maxPasswordRounds = 10_000_000
	minPassword       = 12 // bytes, as in MLflow
	maxPassword       = 1024
	saltBytes         = 16
	tokenScheme       = "sha256$"
)

// HashPassword returns what AuthUser.Password must be for the password, which
// must have 12 to 1,024 bytes. It takes a good part of a second on purpose.
func HashPassword(password string) (string, error) {
	return hashPassword(password, passwordRounds)
}

func hashPassword(password string, rounds int) (string, error) {
	if err := validPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	p := passwordHash{rounds: rounds, salt: salt}
	sum, err := p.derive(password)
	if err != nil {
		return "", fmt.Errorf("mlflow: hash password: %w", err)
	}
	b64 := base64.RawStdEncoding
	return strings.Join([]string{passwordScheme, strconv.Itoa(p.rounds), b64.EncodeToString(salt), b64.EncodeToString(sum)}, "$"), nil
}

func validPassword(password string) error {
	if n := len(password); n < minPassword || n > maxPassword {
		return fmt.Errorf("mlflow: the password has %d bytes, want %d to %d: %w", n, minPassword, maxPassword, tracking.ErrInvalid)
	}
	return nil
}

// NewToken returns a random token for "Authorization: Bearer" and what
// AuthUser.Tokens must have for it.
func NewToken() (token, hash string) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // see HashPassword
	token = "mw-" + base64.RawURLEncoding.EncodeToString(b)
	return token, HashToken(token)
}

// HashToken returns what AuthUser.Tokens must have for a token. A token must
// be random, like those of NewToken: its hash is fast.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return tokenScheme + hex.EncodeToString(sum[:])
}

func validTokenHash(hash string) bool {
	digits, ok := strings.CutPrefix(hash, tokenScheme)
	sum, err := hex.DecodeString(digits)
	return ok && err == nil && len(sum) == sha256.Size && digits == strings.ToLower(digits)
}

// passwordHash is a parsed AuthUser.Password.
type passwordHash struct {
	rounds    int
	salt, sum []byte
}

func parsePasswordHash(text string) (passwordHash, error) {
	var p passwordHash
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != passwordScheme {
		return p, errors.New("it is not what HashPassword returns")
	}
	var err, saltErr, sumErr error
	p.rounds, err = strconv.Atoi(parts[1])
	p.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[2])
	p.sum, sumErr = base64.RawStdEncoding.DecodeString(parts[3])
	switch {
	case errors.Join(err, saltErr, sumErr) != nil || len(p.salt) < saltBytes || len(p.sum) != sha256.Size:
		return p, errors.New("it is damaged")
	case p.rounds < minPasswordRounds || p.rounds > maxPasswordRounds:
		return p, fmt.Errorf("it has %d rounds, want %d to %d", p.rounds, minPasswordRounds, maxPasswordRounds)
	}
	return p, nil
}

func (p *passwordHash) derive(password string) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, p.salt, p.rounds, sha256.Size)
}

// matches compares in constant time.
func (p *passwordHash) matches(password string) bool {
	if len(password) > maxPassword {
		return false
	}
	sum, err := p.derive(password)
	return err == nil && subtle.ConstantTimeCompare(sum, p.sum) == 1
}
