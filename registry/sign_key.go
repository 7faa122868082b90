package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512, for the larger curves
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
)

// keyHash returns what a key signs: the digest by a hash that fits its size, or
// with Ed25519, by 0, the message itself.
func keyHash(key crypto.PublicKey) (crypto.Hash, error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return crypto.Hash(0), nil
		}
	case *ecdsa.PublicKey:
		if key == nil || key.Curve == nil {
			break
		}
		switch key.Params().Name {
		case "P-256":
			return crypto.SHA256, nil
		case "P-384":
			return crypto.SHA384, nil
		case "P-521":
			return crypto.SHA512, nil
		}
	}
	return 0, fmt.Errorf("the key is %T, want Ed25519, or ECDSA on P-256, P-384 or P-521: %w", key, ErrInvalid)
}

func digested(hash crypto.Hash, message []byte) []byte {
	if hash == 0 {
		return message
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// verifies reports whether sig is the key's signature of the message. A key
// that is none verifies nothing.
func verifies(key crypto.PublicKey, message, sig []byte) bool {
	hash, err := keyHash(key)
	if err != nil {
		return false
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, sig)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digested(hash, message), sig)
	}
	return false
}

// KeyID is the name of a public key: the hex SHA-256 of its PKIX encoding, ""
// for what is no key.
func KeyID(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// ParsePublicKey reads a PEM block "PUBLIC KEY" with an Ed25519 or ECDSA key,
// as `openssl pkey -pubout` writes it. ErrInvalid.
func ParsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf(`registry: public key: want a PEM block "PUBLIC KEY": %w`, ErrInvalid)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("registry: public key: %w: %w", err, ErrInvalid)
	}
	if _, err := keyHash(key); err != nil {
		return nil, fmt.Errorf("registry: public key: %w", err)
	}
	return key, nil
}

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// bundle is a Sigstore bundle with a key in place of certificates.
type bundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
		Log []json.RawMessage `json:"tlogEntries"`
	} `json:"verificationMaterial"`
	Envelope Envelope `json:"dsseEnvelope"`
}

// Bundle returns the signature of one key as a Sigstore bundle, the file
// "model.sig" of model-signing: its command
//
//	model_signing verify key --signature model.sig --public_key key.pub FOLDER
//
// accepts a folder with the version's files, for an ECDSA key; it has no
// support for Ed25519. ErrNotFound when the key did not sign.
func (e Envelope) Bundle(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("registry: bundle: the key is %T: %w: %w", key, err, ErrInvalid)
	}
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	out := bundle{MediaType: bundleType, Envelope: Envelope{PayloadType: e.PayloadType, Payload: e.Payload}}
	out.VerificationMaterial.PublicKey.Hint = hex.EncodeToString(sum[:])
	out.VerificationMaterial.Log = []json.RawMessage{}
	signed := pae(e.Payload)
	for _, s := range e.Signatures {
		if verifies(key, signed, s.Sig) {
			out.Envelope.Signatures = []KeySignature{s}
			return json.Marshal(out)
		}
	}
	return nil, fmt.Errorf("registry: bundle: the key %s did not sign: %w", KeyID(key), ErrNotFound)
}

// ParseBundle reads a Sigstore bundle that was signed by a key, as Bundle and
// model-signing write it. It verifies nothing: VerifySignature does. ErrInvalid.
func ParseBundle(text []byte) (Envelope, error) {
	if len(text) > 2*maxEnvelope {
		return Envelope{}, fmt.Errorf("registry: bundle: %d bytes, want at most %d: %w", len(text), 2*maxEnvelope, ErrInvalid)
	}
	var b bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return Envelope{}, fmt.Errorf("registry: bundle: %w: %w", err, ErrInvalid)
	}
	if b.MediaType != bundleType || len(b.Envelope.Signatures) != 1 {
		return Envelope{}, fmt.Errorf("registry: bundle: it is of type %q with %d signatures, want %q with one: %w",
			cut(b.MediaType), len(b.Envelope.Signatures), bundleType, ErrInvalid)
	}
	return b.Envelope, nil
}
