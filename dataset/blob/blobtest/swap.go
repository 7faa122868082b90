package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// swapper skips what a store without compare-and-swap has not to do.
func swapper(t *testing.T, s blob.Store) {
	t.Helper()
	_, err := blob.Swap(t.Context(), s, "swapper/probe", strings.NewReader("x"), 1, "")
	if errors.Is(err, blob.ErrUnsupported) {
		requireError(t, err, blob.ErrUnsupported)
		t.Skip("the store has no compare-and-swap")
	}
	require.NoError(t, err)
	require.NoError(t, s.Delete(t.Context(), "swapper/probe"))
}

func swaps(t *testing.T, s blob.Store) {
	swapper(t, s)
	ctx := t.Context()
	swap := func(key, text, old string) (string, error) {
		return blob.Swap(ctx, s, key, strings.NewReader(text), int64(len(text)), old)
	}
	conflict := func(key, old string) {
		t.Helper()
		_, err := swap(key, "lost", old)
		requireError(t, err, blob.ErrConflict)
	}

	one, err := swap("a/head", "one", "")
	require.NoError(t, err)
	require.NotEmpty(t, one)
	require.Equal(t, "one", get(t, s, "a/head", 0, -1))
	conflict("a/head", "")
	conflict("a/head", "no such tag")
	conflict("a/none", one)
	requireAbsent(t, s, "a/none")

	two, err := swap("a/head", "two", one)
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	conflict("a/head", one)
	require.Equal(t, "two", get(t, s, "a/head", 0, -1))

	// Every other write counts too, also one of the same length.
	require.NoError(t, s.Put(ctx, "a/head", strings.NewReader("six"), 3))
	conflict("a/head", two)
	require.NoError(t, s.Delete(ctx, "a/head"))
	conflict("a/head", two)
	create(t, s, "a/head", "ten")
	conflict("a/head", two)
	conflict("a/head", "")

	// The tag is known wherever an object is described.
	fi, err := s.Stat(ctx, "a/head")
	require.NoError(t, err)
	tag := blob.Tag(fi)
	require.NotEmpty(t, tag)
	for listed, err := range s.List(ctx, "a/head") {
		require.NoError(t, err)
		require.Equal(t, tag, blob.Tag(listed))
	}
	data, read, err := blob.ReadTagged(ctx, s, "a/head", 10)
	require.NoError(t, err)
	require.Equal(t, "ten", string(data))
	require.Equal(t, tag, read)
	next, err := swap("a/head", "new", tag)
	require.NoError(t, err)
	fi, err = s.Stat(ctx, "a/head")
	require.NoError(t, err)
	require.Equal(t, next, blob.Tag(fi))

	_, err = blob.Swap(ctx, s, "a/head", strings.NewReader("abc"), 4, next)
	requireError(t, err, fs.ErrInvalid)
	_, err = blob.Swap(canceled(t), s, "a/head", strings.NewReader("abc"), 3, next)
	requireError(t, err, context.Canceled)
	for _, key := range []string{"", "/a", "a//b", "../a"} {
		_, err := swap(key, "x", "")
		requireInvalid(t, err, key)
	}
	require.Equal(t, "new", get(t, s, "a/head", 0, -1))
}

func racingSwaps(t *testing.T, s blob.Store) {
	swapper(t, s)
	const writers, each = 8, 15
	RaceSwaps(t, same(s, writers), "race/counter", each)
}

// RaceSwaps has every store increment one counter at key so often, all at the
// same time, and fails the test unless none is lost. Give it stores of several
// connections to one place, or of several processes' worth.
func RaceSwaps(t testing.TB, stores []blob.Store, key string, each int) {
	t.Helper()
	ctx := t.Context()
	if _, err := blob.Swap(ctx, stores[0], key, strings.NewReader("0"), 1, ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(stores))
	for i, s := range stores {
		wg.Go(func() {
			for n := 0; n < each && errs[i] == nil; {
				data, tag, err := blob.ReadTagged(ctx, s, key, 100)
				if err == nil {
					var have int
					if have, err = strconv.Atoi(string(data)); err == nil {
						next := strconv.Itoa(have + 1)
						_, err = blob.Swap(ctx, s, key, strings.NewReader(next), int64(len(next)), tag)
					}
				}
				switch {
				case err == nil:
					n++
				case !errors.Is(err, blob.ErrConflict):
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	data, err := blob.ReadAll(ctx, stores[0], key, 100)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(len(stores)*each), string(data), "increments were lost")
}

// RaceCreates has every store create the same keys below prefix, all at the same
// time, and fails the test unless each has exactly one winner whose bytes are
// there.
func RaceCreates(t testing.TB, stores []blob.Store, prefix string, rounds int) {
	t.Helper()
	for round := range rounds {
		race(t, stores, fmt.Sprintf("%s/%d/key", prefix, round), func(i int) []byte {
			return fmt.Appendf(nil, "writer %d of round %d", i, round)
		})
	}
}

func copies(t *testing.T, s blob.Store) {
	ctx := t.Context()
	data := pattern(someBytes, 7)
	require.NoError(t, s.Create(ctx, "a/from", bytes.NewReader(data), someBytes))
	require.NoError(t, blob.Copy(ctx, s, "a/from", "b/to"))
	requireBytes(t, data, s, "b/to")
	create(t, s, "empty", "")
	require.NoError(t, blob.Copy(ctx, s, "empty", "b/empty"))
	require.Equal(t, "", get(t, s, "b/empty", 0, -1))

	// It replaces, and what was copied stands on its own.
	require.NoError(t, blob.Copy(ctx, s, "empty", "b/to"))
	require.Equal(t, "", get(t, s, "b/to", 0, -1))
	require.NoError(t, blob.Copy(ctx, s, "a/from", "c"))
	require.NoError(t, s.Put(ctx, "a/from", strings.NewReader("new"), 3))
	requireBytes(t, data, s, "c")
	require.NoError(t, s.Delete(ctx, "a/from"))
	requireBytes(t, data, s, "c")
	require.NoError(t, blob.Copy(ctx, s, "c", "odd/ü & +%20?.bin"))
	requireBytes(t, data, s, "odd/ü & +%20?.bin")

	requireError(t, blob.Copy(ctx, s, "none", "d"), fs.ErrNotExist)
	requireAbsent(t, s, "d")
	requireInvalid(t, blob.Copy(ctx, s, "../c", "d"), "../c")
	requireInvalid(t, blob.Copy(ctx, s, "c", "d/../e"), "d/../e")
	requireError(t, blob.Copy(canceled(t), s, "c", "d"), context.Canceled)
	requireAbsent(t, s, "d")
}
