// Package blobtest is the conformance kit of [blob.Store]: whoever writes a
// store runs it against a real one.
//
//	func TestStore(t *testing.T) {
//		blobtest.Run(t, func(t *testing.T) blob.Store {
//			s, err := dirblob.Open(t.TempDir())
//			require.NoError(t, err)
//			t.Cleanup(func() { _ = s.Close() })
//			return s
//		})
//	}
//
// The kit links testify; it is for tests only.
package blobtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Run runs every check as a parallel subtest of t. Open is called once a subtest
// and returns an empty store that is the subtest's own; its clean-up belongs to
// the t it is given. The whole run writes under 100 MB.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Helper()
	checks := []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"create and read back", createAndGet},
		{"create refuses an existing key", createExisting},
		{"put replaces", putReplaces},
		{"ranges", ranges},
		{"stat", stat},
		{"absent keys", absentKeys},
		{"delete", deletes},
		{"object and folder", objectAndFolder},
		{"keys with odd characters", oddKeys},
		{"invalid keys", invalidKeys},
		{"list order and prefix", listOrder},
		{"list many", listMany},
		{"list stops early", listStops},
		{"wrong size writes nothing", wrongSize},
		{"failing body writes nothing", failingBody},
		{"ended context writes nothing", endedContext},
		{"context that ends during the body", contextEndsInBody},
		{"unknown and zero size", unknownSize},
		{"big body", bigBody},
		{"racing creators", racingCreators},
		{"racing creators of big bodies", racingBig},
		{"readers beside a replacing writer", readersBesidePut},
		{"deletes beside creators", deletesBesideCreators},
		{"compare and swap", swaps},
		{"racing swaps", racingSwaps},
		{"copies", copies},
		{"readers describe what they read", opened},
		{"parallel ranged reads", parallelReads},
		{"below a prefix", belowPrefix},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func create(t *testing.T, s blob.Store, key, text string) {
	t.Helper()
	require.NoError(t, s.Create(t.Context(), key, strings.NewReader(text), int64(len(text))))
}

func get(t *testing.T, s blob.Store, key string, off, n int64) string {
	t.Helper()
	r, err := s.Get(t.Context(), key, off, n)
	require.NoError(t, err)
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return string(data)
}

func keys(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	list := []string{}
	for fi, err := range s.List(t.Context(), prefix) {
		require.NoError(t, err)
		list = append(list, fi.Name())
	}
	return list
}

// requireError checks the kind of an error, and that it says operation and key
// in the form of a [fs.PathError].
func requireError(t *testing.T, err, kind error) {
	t.Helper()
	require.ErrorIs(t, err, kind)
	var pe *fs.PathError
	require.ErrorAs(t, err, &pe)
	require.NotEmpty(t, pe.Op)
	require.NotEmpty(t, pe.Error())
}

func requireAbsent(t *testing.T, s blob.Store, key string) {
	t.Helper()
	_, err := s.Stat(t.Context(), key)
	requireError(t, err, fs.ErrNotExist)
	_, err = s.Get(t.Context(), key, 0, -1)
	requireError(t, err, fs.ErrNotExist)
	require.NotContains(t, keys(t, s, ""), key)
}

// pattern returns n bytes in which no two aligned words are the same.
func pattern(n int, seed byte) []byte {
	data := make([]byte, 0, n+8)
	for x := uint64(seed) + 1; len(data) < n; {
		x = x*6364136223846793005 + 1442695040888963407
		data = binary.LittleEndian.AppendUint64(data, x)
	}
	return data[:n]
}

func requireBytes(t testing.TB, want []byte, s blob.Store, key string) {
	t.Helper()
	have, err := blob.ReadAll(t.Context(), s, key, int64(len(want)))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, have), "the object read back differs from the one written")
}

// bodyFunc is a body from a function.
type bodyFunc func(p []byte) (int, error)

func (f bodyFunc) Read(p []byte) (int, error) { return f(p) }

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
