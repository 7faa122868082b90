package blob_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

func TestValidateKey(t *testing.T) {
	t.Parallel()
	for key, ok := range map[string]bool{
		"a": true, "a/b": true, ".a/..b/...": true, "a b": true, "日本/🙂": true, "a\\b": true, "\u00a0": true,
		strings.Repeat("s", 255): true, strings.Repeat("abc/", 224) + "abcd": true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/./b": false, "a/..": false,
		"a\x00": false, "a\nb": false, "\x7f": false, "\u0085": false, "\ufffe": false, "\uffff": false, "\xff": false, "a\xed\xa0\x80": false,
		strings.Repeat("s", 256): false, strings.Repeat("abc/", 225) + "a": false,
	} {
		err := blob.ValidateKey(key)
		if ok {
			require.NoError(t, err, "%q", key)
			continue
		}
		require.ErrorIs(t, err, fs.ErrInvalid, "%q", key)
		var pe *fs.PathError
		require.ErrorAs(t, err, &pe)
		require.Less(t, len(err.Error()), 250, "a hostile key fills the log")
	}
	require.EqualError(t, blob.ValidateKey("a//b"), "validate a//b: a segment is empty: invalid argument")
}

func TestValidatePrefix(t *testing.T) {
	t.Parallel()
	for prefix, ok := range map[string]bool{
		"": true, "a": true, "a/": true, "a/.": true, "a/..": true, ".": true,
		"/": false, "//": false, "a//": false, "../": false, "a/../": false, "a\x00": false, "\xff": false,
		strings.Repeat("s", 256): false, strings.Repeat("abc/", 226): false,
	} {
		err := blob.ValidatePrefix(prefix)
		if ok {
			require.NoError(t, err, "%q", prefix)
		} else {
			require.ErrorIs(t, err, fs.ErrInvalid, "%q", prefix)
		}
	}
}

// FuzzValidateKey checks that a valid key is a path that fs.FS takes too, that
// every beginning of it is a valid prefix, and that Mem gives back what a valid
// key was given.
func FuzzValidateKey(f *testing.F) {
	for _, key := range []string{"a", "a/b.c/d", "", "/", "a//b", "..", "a/../b", "\x00", "\xff", "é/日", strings.Repeat("x", 256)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if err := blob.ValidateKey(key); err != nil {
			require.ErrorIs(t, err, fs.ErrInvalid)
			return
		}
		require.True(t, fs.ValidPath(key) && key != ".")
		for i := range key {
			require.NoError(t, blob.ValidatePrefix(key[:i]))
		}
		require.NoError(t, blob.ValidatePrefix(key))
		var m blob.Mem
		require.NoError(t, m.Create(t.Context(), key, strings.NewReader(key), int64(len(key))))
		data, err := blob.ReadAll(t.Context(), &m, key, 900)
		require.NoError(t, err)
		require.Equal(t, key, string(data))
	})
}
