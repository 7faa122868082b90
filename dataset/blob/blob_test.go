package blob_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

func TestReadAllIsBounded(t *testing.T) {
	t.Parallel()
	var m blob.Mem
	ctx := t.Context()
	require.NoError(t, m.Put(ctx, "k", strings.NewReader("12345"), 5))
	for _, max := range []int64{5, 6, math.MaxInt64} {
		data, err := blob.ReadAll(ctx, &m, "k", max)
		require.NoError(t, err)
		require.Equal(t, "12345", string(data))
	}
	for _, max := range []int64{4, 0, -1} {
		_, err := blob.ReadAll(ctx, &m, "k", max)
		require.ErrorIs(t, err, fs.ErrInvalid)
	}
	_, err := blob.ReadAll(ctx, &m, "k", 4)
	require.EqualError(t, err, "read k: the object is larger than the bound of 4 bytes: invalid argument")
	_, err = blob.ReadAll(ctx, &m, "nope", 4)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestReadAllReportsABrokenRead(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	_, err := blob.ReadAll(t.Context(), brokenStore{err: broken}, "k", 10)
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "read k: connection lost")
}

// brokenStore loses the connection in mid-object.
type brokenStore struct {
	blob.Store
	err error
}

func (b brokenStore) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(b.err))), nil
}

func TestBodyKeepsTheReaderContract(t *testing.T) {
	t.Parallel()
	const text = "the quick brown fox"
	for _, size := range []int64{-1, int64(len(text))} {
		for name, body := range map[string]io.Reader{
			"plain": strings.NewReader(text), "one byte": iotest.OneByteReader(strings.NewReader(text)),
			"data with EOF": iotest.DataErrReader(strings.NewReader(text)), "half": iotest.HalfReader(strings.NewReader(text)),
		} {
			require.NoError(t, iotest.TestReader(blob.Body(t.Context(), body, size), []byte(text)), "%s, size %d", name, size)
		}
	}
}

func TestSub(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := new(blob.Mem)
	require.Same(t, m, blob.Sub(m, ""))

	sub := blob.Sub(m, "runs/7")
	require.NoError(t, sub.Put(ctx, "log.txt", strings.NewReader("x"), 1))
	fi, err := m.Stat(ctx, "runs/7/log.txt")
	require.NoError(t, err)
	require.Equal(t, "runs/7/log.txt", fi.Name())
	fi, err = sub.Stat(ctx, "log.txt")
	require.NoError(t, err)
	require.Equal(t, "log.txt", fi.Name())

	// No key leads out of the prefix.
	require.NoError(t, m.Put(ctx, "secret", strings.NewReader("x"), 1))
	for _, key := range []string{"../../secret", "..", "", "/secret"} {
		_, err := sub.Stat(ctx, key)
		require.ErrorIs(t, err, fs.ErrInvalid, "%q", key)
	}
	// A prefix that is no key makes every call fail.
	for _, prefix := range []string{"../x", "a/", "/a", "."} {
		bad := blob.Sub(m, prefix)
		_, err := bad.Get(ctx, "k", 0, -1)
		require.ErrorIs(t, err, fs.ErrInvalid, "%q", prefix)
		require.ErrorIs(t, bad.Put(ctx, "k", strings.NewReader(""), 0), fs.ErrInvalid)
		require.ErrorIs(t, bad.Delete(ctx, "k"), fs.ErrInvalid)
		require.ErrorIs(t, bad.Create(ctx, "k", strings.NewReader(""), 0), fs.ErrInvalid)
		for _, err := range bad.List(ctx, "") {
			require.ErrorIs(t, err, fs.ErrInvalid)
		}
	}
	// The bound on a key's length counts the prefix.
	long := blob.Sub(m, strings.Repeat("p/", 200)+"p")
	require.NoError(t, long.Put(ctx, strings.Repeat("k/", 248)+"k", strings.NewReader(""), 0))
	require.ErrorIs(t, long.Put(ctx, strings.Repeat("k/", 249)+"k", strings.NewReader(""), 0), fs.ErrInvalid)
}

func TestMemRefusesAFolderThatIsAnObject(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var m blob.Mem
	require.NoError(t, m.Put(ctx, "a", strings.NewReader(""), 0))
	require.EqualError(t, m.Put(ctx, "a/b", strings.NewReader(""), 0), `put a/b: "a" is an object and cannot be a folder too: invalid argument`)
	require.NoError(t, m.Put(ctx, "c/d", strings.NewReader(""), 0))
	require.EqualError(t, m.Create(ctx, "c", strings.NewReader(""), 0), `create c: it is the folder of "c/d" and cannot be an object too: invalid argument`)
}
