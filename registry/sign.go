package registry

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Envelope is a DSSE envelope (github.com/secure-systems-lab/dsse, v1) around an
// in-toto statement about a version's files: the form in which Sigstore's
// model-signing writes them. [Envelope.Bundle] wraps it for that tool.
type Envelope struct {
	// PayloadType is always "application/vnd.in-toto+json".
	PayloadType string `json:"payloadType"`
	// Payload is the statement, in base64 when encoded as JSON.
	Payload []byte `json:"payload"`
	// Signatures over the payload and its type, of one or more keys.
	Signatures []KeySignature `json:"signatures"`
}

// KeySignature is the signature of one key.
type KeySignature struct {
	// KeyID is KeyID of the public key; a hint for finding it, not trusted.
	KeyID string `json:"keyid"`
	// Sig is the signature: as it is for Ed25519, in ASN.1 for ECDSA.
	Sig []byte `json:"sig"`
}

const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://model_signing/signature/v1.0"
	maxEnvelope   = 8 << 20
)

// statement is the in-toto statement of a version. The subject's digest is the
// manifest's, its name the model's; the resources list the files.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	Serialization map[string]any `json:"serialization"`
	Resources     []resource     `json:"resources"`
}

type resource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"`
}

// newStatement describes name and files.
func newStatement(name, manifest string, files []File) statement {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	resources := make([]resource, len(files))
	for i, f := range files {
		resources[i] = resource{Name: f.Path, Algorithm: "sha256", Digest: f.SHA256}
	}
	return statement{
		Type: statementType,
		Subject: []subject{{Name: name, Digest: map[string]string{
			"sha256": rootDigest(resources), manifestDigest: strings.TrimPrefix(manifest, "sha256:"),
		}}},
		PredicateType: predicateType,
		Predicate: predicate{
			Serialization: map[string]any{"method": "files", "hash_type": "sha256", "allow_symlinks": false, "ignore_paths": []string{}},
			Resources:     resources,
		},
	}
}

// manifestDigest is the name of our digest of the manifest, beside the root
// digest. It also covers the sizes and needs no rule about the order.
const manifestDigest = "millwrightManifest"

// rootDigest is that of the model-signing format: SHA-256 over the files'
// digests, in the order of the list.
func rootDigest(resources []resource) string {
	root := sha256.New()
	for _, r := range resources {
		sum, _ := hex.DecodeString(r.Digest) // what is no digest is no file of the version either
		root.Write(sum)
	}
	return hex.EncodeToString(root.Sum(nil))
}

// pae is DSSE's pre-authentication encoding: what is signed.
func pae(payload []byte) []byte {
	out := []byte("DSSEv1 " + strconv.Itoa(len(payloadType)) + " " + payloadType + " " + strconv.Itoa(len(payload)) + " ")
	return append(out, payload...)
}

// SignVersion returns a signature of the version's name and files by a key,
// which may live in an HSM behind crypto.Signer: Ed25519, or ECDSA on P-256,
// P-384 or P-521, the ones that model-signing verifies. ErrInvalid for another
// kind of key.
func SignVersion(v *Version, key crypto.Signer) (Envelope, error) {
	op := fmt.Sprintf("registry: sign %q", cut(v.Ref()))
	hash, err := keyHash(key.Public())
	if err != nil {
		return Envelope{}, fmt.Errorf("%s: %w", op, err)
	}
	if err := checkVersionFiles(v); err != nil {
		return Envelope{}, fmt.Errorf("%s: %w", op, err)
	}
	payload, err := json.Marshal(newStatement(v.Name, v.Digest, v.Files))
	if err != nil {
		return Envelope{}, fmt.Errorf("%s: %w", op, err)
	}
	sig, err := key.Sign(rand.Reader, digested(hash, pae(payload)), hash)
	if err != nil {
		return Envelope{}, fmt.Errorf("%s: %w", op, err)
	}
	return Envelope{
		PayloadType: payloadType, Payload: payload,
		Signatures: []KeySignature{{KeyID: KeyID(key.Public()), Sig: sig}},
	}, nil
}

// VerifySignature reports whether e is a signature of exactly v's name and
// files by one of the keys, by SignVersion or by model-signing. ErrUntrusted
// says what is wrong with it.
func VerifySignature(v *Version, e Envelope, keys ...crypto.PublicKey) error {
	subject := "registry: signature of " + strconv.Quote(cut(v.Ref()))
	if err := checkVersionFiles(v); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if e.PayloadType != payloadType || len(e.Payload) > maxEnvelope {
		return fmt.Errorf("%s: it is of type %q, want %q of at most %d bytes: %w", subject, cut(e.PayloadType), payloadType, maxEnvelope, ErrUntrusted)
	}
	signed := pae(e.Payload)
	good := slices.ContainsFunc(e.Signatures, func(s KeySignature) bool {
		return slices.ContainsFunc(keys, func(key crypto.PublicKey) bool { return verifies(key, signed, s.Sig) })
	})
	if !good {
		return fmt.Errorf("%s: none of its %d signatures is by a trusted key: %w", subject, len(e.Signatures), ErrUntrusted)
	}
	var have statement
	if err := json.Unmarshal(e.Payload, &have); err != nil {
		return fmt.Errorf("%s: its statement does not parse: %w: %w", subject, err, ErrUntrusted)
	}
	want := newStatement(v.Name, v.Digest, v.Files)
	switch {
	case have.Type != want.Type || have.PredicateType != want.PredicateType || len(have.Subject) != 1:
		return fmt.Errorf("%s: it is no statement about a model's files: %w", subject, ErrUntrusted)
	case have.Subject[0].Name != v.Name:
		return fmt.Errorf("%s: it is about the model %q: %w", subject, cut(have.Subject[0].Name), ErrUntrusted)
	case !have.about(want):
		return fmt.Errorf("%s: it is about other files: %w", subject, ErrUntrusted)
	}
	return nil
}

// about reports whether s names the files that want does, in any order.
func (s statement) about(want statement) bool {
	digest := s.Subject[0].Digest
	if ours, ok := digest[manifestDigest]; ok && ours != want.Subject[0].Digest[manifestDigest] {
		return false
	}
	if digest["sha256"] != rootDigest(s.Predicate.Resources) {
		return false
	}
	byName := func(a, b resource) int { return strings.Compare(a.Name, b.Name) }
	return slices.Equal(slices.SortedFunc(slices.Values(s.Predicate.Resources), byName), want.Predicate.Resources)
}

// checkVersionFiles makes sure that the digest of v is that of its files.
func checkVersionFiles(v *Version) error {
	if err := checkFiles(v.Files); err != nil {
		return err
	}
	if have := ManifestDigest(v.Files); have != v.Digest {
		return fmt.Errorf("the list of files has digest %s, the version %s: the record was altered: %w", have, v.Digest, ErrInvalid)
	}
	return nil
}

// Sign adds a signature by key to a version.
func (r *Registry) Sign(ctx context.Context, name string, number int, key crypto.Signer) error {
	v, err := r.Version(ctx, name, number)
	if err != nil {
		return err
	}
	e, err := SignVersion(v, key)
	if err != nil {
		return err
	}
	if err := r.store.UpdateVersion(ctx, name, number, VersionUpdate{Sign: &e, Time: now()}); err != nil {
		return fmt.Errorf("registry: sign %q: %w", cut(v.Ref()), err)
	}
	return nil
}

// Trust is a policy of which versions may be opened.
type Trust struct {
	// Keys are the public keys whose signatures count: *ecdsa.PublicKey or
	// ed25519.PublicKey, see ParsePublicKey.
	Keys []crypto.PublicKey
	// AllowUnsigned opens versions without any signature. A signature that
	// does not verify is refused all the same. Default false.
	AllowUnsigned bool
}

// check returns ErrUntrusted for a version that the policy refuses.
func (t *Trust) check(v *Version) error {
	if len(v.Signed) == 0 {
		if t.AllowUnsigned {
			return nil
		}
		return fmt.Errorf("registry: open %q: the version is not signed, and Options.Trust demands it: %w", cut(v.Ref()), ErrUntrusted)
	}
	var faults []error
	for _, e := range v.Signed {
		err := VerifySignature(v, e, t.Keys...)
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// ErrUntrusted means that a version is not signed by a trusted key.
var ErrUntrusted = errUntrusted{}

// errUntrusted is an ErrInvalid of its own.
type errUntrusted struct{}

func (errUntrusted) Error() string        { return "untrusted" }
func (errUntrusted) Is(target error) bool { return target == errs.ErrInvalid }
