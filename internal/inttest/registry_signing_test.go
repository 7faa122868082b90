package inttest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// TestModelSigning has Sigstore's model-signing verify what we sign, and the
// other way round, with each kind of key that it knows.
func TestModelSigning(t *testing.T) {
	t.Parallel()
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			t.Parallel()
			testModelSigning(t, curve)
		})
	}
}

func testModelSigning(t *testing.T, curve elliptic.Curve) {
	ctx, dir := t.Context(), t.TempDir()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	publicFile := write("key.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	privateFile := write("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))

	// The names are in other orders as paths than as texts.
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	v, err := reg.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{
		"model.json": {Data: []byte("{}")}, "a/b": {Data: []byte("1")}, "a-b": {Data: []byte("2")}, "a/ü": {Data: []byte("3")}, "empty": {},
	}})
	require.NoError(t, err)
	require.NoError(t, reg.Sign(ctx, "fraud", 1, key))
	v, err = reg.Version(ctx, "fraud", v.Number)
	require.NoError(t, err)
	folder := filepath.Join(dir, "fraud")
	files, err := reg.Open(ctx, v)
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(folder, files))
	bundle, err := v.Signed[0].Bundle(key.Public())
	require.NoError(t, err)
	verify := []string{"verify", "key", folder, "--signature", write("ours.sig", bundle), "--public_key", publicFile}
	out, err := inttest.ModelSigning(t, verify...)
	require.NoError(t, err, "%s", out)

	// Theirs.
	theirs := filepath.Join(dir, "theirs.sig")
	out, err = inttest.ModelSigning(t, "sign", "key", folder, "--signature", theirs, "--private_key", privateFile)
	require.NoError(t, err, "%s", out)
	text, err := os.ReadFile(theirs)
	require.NoError(t, err)
	envelope, err := registry.ParseBundle(text)
	require.NoError(t, err)
	require.NoError(t, registry.VerifySignature(v, envelope, key.Public()))
	other, err := reg.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"model.json": {Data: []byte("{ }")}}})
	require.NoError(t, err)
	require.ErrorIs(t, registry.VerifySignature(other, envelope, key.Public()), registry.ErrUntrusted)

	// A changed file is noticed by them as well.
	if curve != elliptic.P256() {
		return
	}
	require.NoError(t, os.Chmod(filepath.Join(folder, "a", "b"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a", "b"), []byte("x"), 0o600))
	out, err = inttest.ModelSigning(t, verify...)
	require.Error(t, err)
	require.Contains(t, string(out), "Hash mismatch for 'a/b'")
}
