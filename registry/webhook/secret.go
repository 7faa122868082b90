package webhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// keySize is that of AES-256.
const keySize = 32

// A kept secret begins with how it is kept.
const (
	plainly   = "plain:"
	encrypted = "aes256gcm:" // and the key's id, a colon, base64 of nonce and ciphertext
)

// keyring encrypts secrets with its first key and decrypts with any.
type keyring []ringKey

type ringKey struct {
	id   string
	aead cipher.AEAD
}

func newKeyring(keys [][]byte) (keyring, error) {
	var out keyring
	for i, key := range keys {
		if len(key) != keySize {
			return nil, fmt.Errorf("key %d has %d bytes, want %d: %w", i, len(key), keySize, ErrInvalid)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("millwright webhook key "), key...))
		out = append(out, ringKey{hex.EncodeToString(sum[:4]), aead})
	}
	return out, nil
}

// seal makes what the store keeps of a webhook's secret. It is bound to the
// webhook: moved to another row it does not open.
func (k keyring) seal(webhook, secret string) string {
	switch {
	case secret == "":
		return ""
	case len(k) == 0:
		return plainly + secret
	}
	nonce := make([]byte, k[0].aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	box := k[0].aead.Seal(nonce, nonce, []byte(secret), []byte(webhook))
	return encrypted + k[0].id + ":" + base64.StdEncoding.EncodeToString(box)
}

func (k keyring) open(webhook, kept string) (string, error) {
	if kept == "" {
		return "", nil
	}
	if secret, ok := strings.CutPrefix(kept, plainly); ok {
		return secret, nil
	}
	rest, ok := strings.CutPrefix(kept, encrypted)
	id, text, colon := strings.Cut(rest, ":")
	if !ok || !colon {
		return "", fmt.Errorf("the kept secret is in a form that this version does not know: %w", ErrUnsupported)
	}
	box, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("the kept secret is damaged, set it again: %w", ErrUnavailable)
	}
	for _, key := range k {
		if n := key.aead.NonceSize(); key.id == id && len(box) > n {
			if secret, err := key.aead.Open(nil, box[:n], box[n:], []byte(webhook)); err == nil {
				return string(secret), nil
			}
		}
	}
	return "", fmt.Errorf("the secret was encrypted with key %s, which is not among Options.Keys, or is damaged: %w", id, ErrUnavailable)
}
