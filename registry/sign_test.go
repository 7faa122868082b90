package registry_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func newKey(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return public, private
}

func TestSignedVersions(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	public, private := newKey(t)
	stranger, _ := newKey(t)
	_, err := b.Register(ctx, "fraud", draft("model", "1", "a/b", "2"))
	require.NoError(t, err)
	trusting := registry.New(b.store, b.files, &registry.Options{Trust: &registry.Trust{Keys: []crypto.PublicKey{public}}})
	lax := registry.New(b.store, b.files, &registry.Options{Trust: &registry.Trust{Keys: []crypto.PublicKey{stranger}, AllowUnsigned: true}})
	v, err := b.Version(ctx, "fraud", 1)
	require.NoError(t, err)
	_, err = trusting.Open(ctx, v)
	require.ErrorIs(t, err, registry.ErrUntrusted)
	require.ErrorIs(t, err, registry.ErrInvalid)
	_, err = lax.Open(ctx, v)
	require.NoError(t, err)

	require.NoError(t, b.Sign(ctx, "fraud", 1, private))
	v, err = b.Version(ctx, "fraud", 1)
	require.NoError(t, err)
	_, err = trusting.Open(ctx, v)
	require.NoError(t, err)
	_, err = lax.Open(ctx, v)
	require.ErrorIs(t, err, registry.ErrUntrusted, "a signature of a stranger is worse than none")

	// The envelope is DSSE: base64 in JSON, the statement in-toto's.
	text, err := json.Marshal(v.Signed[0])
	require.NoError(t, err)
	require.Contains(t, string(text), `{"payloadType":"application/vnd.in-toto+json","payload":"eyJ`)
	require.Contains(t, string(v.Signed[0].Payload), `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"fraud","digest":{`)
	require.Contains(t, string(v.Signed[0].Payload), `{"name":"a/b","algorithm":"sha256","digest":"`+hexSum("2")+`"}`)
	require.Equal(t, registry.KeyID(public), v.Signed[0].Signatures[0].KeyID)
}

func TestForgedSignatures(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	public, private := newKey(t)
	v, err := b.Register(ctx, "fraud", draft("model", "1"))
	require.NoError(t, err)
	good, err := registry.SignVersion(v, private)
	require.NoError(t, err)
	require.NoError(t, registry.VerifySignature(v, good, public))
	other, err := b.Register(ctx, "fraud", draft("model", "2"))
	require.NoError(t, err)
	namesake, err := b.Register(ctx, "churn", draft("model", "1"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		v    *registry.Version
		e    func(registry.Envelope) registry.Envelope
		want string
	}{
		"other files": {other, nil, "it is about other files"},
		"other model": {namesake, nil, `it is about the model "fraud"`},
		"payload": {v, func(e registry.Envelope) registry.Envelope {
			e.Payload = slices.Concat(e.Payload, []byte(" "))
			return e
		}, "none of its 1 signatures is by a trusted key"},
		"type": {v, func(e registry.Envelope) registry.Envelope { e.PayloadType = "text/plain"; return e }, `it is of type "text/plain"`},
		"none": {v, func(e registry.Envelope) registry.Envelope { e.Signatures = nil; return e }, "none of its 0 signatures"},
	} {
		e := good
		if c.e != nil {
			e = c.e(good)
		}
		err := registry.VerifySignature(c.v, e, public)
		require.ErrorIs(t, err, registry.ErrUntrusted, name)
		require.ErrorContains(t, err, c.want, name)
	}
	altered := *v
	altered.Files = []registry.File{{Path: "model", Size: 1, SHA256: hexSum("3")}}
	require.ErrorContains(t, registry.VerifySignature(&altered, good, public), "the record was altered")
	require.ErrorIs(t, registry.VerifySignature(v, good, public[:3]), registry.ErrUntrusted)
}

func TestParsePublicKey(t *testing.T) {
	t.Parallel()
	public, _ := newKey(t)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	got, err := registry.ParsePublicKey(text)
	require.NoError(t, err)
	require.Equal(t, public, got)
	for _, bad := range []string{"", "x", string(text[:40]), strings.Replace(string(text), "PUBLIC", "PRIVATE", 2)} {
		_, err := registry.ParsePublicKey([]byte(bad))
		require.ErrorIs(t, err, registry.ErrInvalid)
	}
}

func TestKindsOfKeys(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	v, err := b.Register(ctx, "fraud", draft("model", "1", "a/b", "2"))
	require.NoError(t, err)
	var keys []crypto.Signer
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		keys = append(keys, key)
	}
	_, ed := newKey(t)
	keys = append(keys, ed)
	for i, key := range keys {
		e, err := registry.SignVersion(v, key)
		require.NoError(t, err)
		require.NoError(t, registry.VerifySignature(v, e, key.Public()))
		require.Equal(t, registry.KeyID(key.Public()), e.Signatures[0].KeyID)
		other := keys[(i+1)%len(keys)].Public()
		require.ErrorIs(t, registry.VerifySignature(v, e, other), registry.ErrUntrusted)

		text, err := e.Bundle(key.Public())
		require.NoError(t, err)
		again, err := registry.ParseBundle(text)
		require.NoError(t, err)
		require.Equal(t, e, again)
		_, err = e.Bundle(other)
		require.ErrorIs(t, err, registry.ErrNotFound)
		step := 1
		if i < len(keys)-1 { // the others verify slowly
			step = 17
		}
		for n := 0; n < len(e.Signatures[0].Sig); n += step {
			bad := e
			bad.Signatures = []registry.KeySignature{{Sig: slices.Clone(e.Signatures[0].Sig)}}
			bad.Signatures[0].Sig[n] ^= 1
			require.ErrorIs(t, registry.VerifySignature(v, bad, key.Public()), registry.ErrUntrusted)
		}
		for n := 0; n < len(e.Payload); n += step {
			bad := e
			bad.Payload = slices.Clone(e.Payload)
			bad.Payload[n] ^= 1
			require.ErrorIs(t, registry.VerifySignature(v, bad, key.Public()), registry.ErrUntrusted)
		}
	}

	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	good, err := registry.SignVersion(v, ed)
	require.NoError(t, err)
	for _, key := range []crypto.Signer{small, long} {
		_, err := registry.SignVersion(v, key)
		require.ErrorIs(t, err, registry.ErrInvalid)
		require.ErrorIs(t, registry.VerifySignature(v, good, key.Public()), registry.ErrUntrusted)
	}
	for _, key := range []crypto.PublicKey{nil, "key", ed25519.PublicKey{1}, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}} {
		require.ErrorIs(t, registry.VerifySignature(v, good, key), registry.ErrUntrusted)
	}
}

// What model-signing writes lists the files in an order of its own, and knows
// nothing of our manifest.
func TestSignaturesOfOthers(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	public, private := newKey(t)
	v, err := b.Register(ctx, "fraud", draft("a", "1", "b", "2"))
	require.NoError(t, err)
	sign := func(change func(statement map[string]any)) registry.Envelope {
		e, err := registry.SignVersion(v, private)
		require.NoError(t, err)
		var s map[string]any
		require.NoError(t, json.Unmarshal(e.Payload, &s))
		digests := s["subject"].([]any)[0].(map[string]any)["digest"].(map[string]any)
		delete(digests, "millwrightManifest")
		list := s["predicate"].(map[string]any)["resources"].([]any)
		slices.Reverse(list)
		one, err := hex.DecodeString(hexSum("1"))
		require.NoError(t, err)
		two, err := hex.DecodeString(hexSum("2"))
		require.NoError(t, err)
		digests["sha256"] = hexSum(string(two) + string(one))
		change(s)
		e.Payload, err = json.Marshal(s)
		require.NoError(t, err)
		e.Signatures[0].Sig = ed25519.Sign(private, fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(e.Payload), e.Payload))
		return e
	}
	require.NoError(t, registry.VerifySignature(v, sign(func(map[string]any) {}), public))
	resources := func(s map[string]any) []any { return s["predicate"].(map[string]any)["resources"].([]any) }
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   string
	}{
		"other root":    {func(s map[string]any) { resources(s)[0], resources(s)[1] = resources(s)[1], resources(s)[0] }, "other files"},
		"other digest":  {func(s map[string]any) { resources(s)[0].(map[string]any)["digest"] = hexSum("3") }, "other files"},
		"no hex":        {func(s map[string]any) { resources(s)[0].(map[string]any)["digest"] = "x" }, "other files"},
		"algorithm":     {func(s map[string]any) { resources(s)[0].(map[string]any)["algorithm"] = "blake2b" }, "other files"},
		"one file less": {func(s map[string]any) { s["predicate"].(map[string]any)["resources"] = resources(s)[:1] }, "other files"},
		"no subject":    {func(s map[string]any) { s["subject"] = []any{} }, "no statement about a model's files"},
		"two subjects":  {func(s map[string]any) { s["subject"] = append(s["subject"].([]any), s["subject"].([]any)[0]) }, "no statement"},
		"predicate":     {func(s map[string]any) { s["predicateType"] = "https://slsa.dev/provenance/v1" }, "no statement"},
		"not its form":  {func(s map[string]any) { s["subject"] = "x" }, "does not parse"},
		"our manifest": {func(s map[string]any) {
			s["subject"].([]any)[0].(map[string]any)["digest"].(map[string]any)["millwrightManifest"] = "x"
		}, "other files"},
	} {
		err := registry.VerifySignature(v, sign(c.change), public)
		require.ErrorIs(t, err, registry.ErrUntrusted, name)
		require.ErrorContains(t, err, c.want, name)
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"},"tlogEntries":[]},"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"","sig":"AA=="}]}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"signatures":[{}]}}`))
	f.Add([]byte(`[]`))
	files := []registry.File{{Path: "a", Size: 1, SHA256: hexSum("1")}}
	v := &registry.Version{Name: "fraud", Number: 1, Files: files, Digest: registry.ManifestDigest(files)}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := registry.ParseBundle(text)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		if len(e.Signatures) == 1 && e.PayloadType == "application/vnd.in-toto+json" {
			e.Signatures[0].Sig = ed25519.Sign(key, fmt.Appendf(nil, "DSSEv1 28 %s %d %s", e.PayloadType, len(e.Payload), e.Payload))
		}
		if err := registry.VerifySignature(v, e, key.Public()); err != nil {
			require.ErrorIs(t, err, registry.ErrUntrusted)
		}
	})
}
