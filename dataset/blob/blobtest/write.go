package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Sizes around what stores hold in one piece.
const (
	bigSize   = 17<<20 + 123
	raceSize  = 9 << 20
	someBytes = 300 << 10
)

// writers are the two calls that write.
func writers(s blob.Store) map[string]func(context.Context, string, io.Reader, int64) error {
	return map[string]func(context.Context, string, io.Reader, int64) error{"create": s.Create, "put": s.Put}
}

func wrongSize(t *testing.T, s blob.Store) {
	big := pattern(raceSize, 1)
	for op, write := range writers(s) {
		for name, c := range map[string]struct {
			body []byte
			size int64
		}{
			"short": {[]byte("abc"), 4}, "long": {[]byte("abc"), 2}, "empty": {nil, 1}, "not empty": {[]byte("x"), 0},
			"big short": {big, raceSize + 1}, "big long": {big, raceSize - 1}, "negative": {[]byte("x"), -2},
		} {
			key := "k/" + op + "/" + name
			requireError(t, write(t.Context(), key, bytes.NewReader(c.body), c.size), fs.ErrInvalid)
			requireAbsent(t, s, key)
		}
		requireError(t, write(t.Context(), "nil", nil, -1), fs.ErrInvalid)
	}
	require.ErrorIs(t, s.Put(t.Context(), "s", strings.NewReader("abc"), 4), io.ErrUnexpectedEOF)
	require.Empty(t, keys(t, s, ""))

	create(t, s, "kept", "old")
	requireError(t, s.Put(t.Context(), "kept", strings.NewReader("new"), 7), fs.ErrInvalid)
	require.Equal(t, "old", get(t, s, "kept", 0, -1))
}

func failingBody(t *testing.T, s blob.Store) {
	broken := errors.New("the sender broke off")
	for op, write := range writers(s) {
		for _, c := range []struct{ n, size int64 }{{0, -1}, {5, 6}, {someBytes, raceSize + 1}, {raceSize, -1}} {
			body := io.MultiReader(io.LimitReader(endless(), c.n), bodyFunc(func([]byte) (int, error) { return 0, broken }))
			key := fmt.Sprintf("%s/%d", op, c.n)
			err := write(t.Context(), key, body, c.size)
			require.ErrorIs(t, err, broken)
			requireAbsent(t, s, key)
		}
	}
}

func endless() io.Reader {
	return bodyFunc(func(p []byte) (int, error) { clear(p); return len(p), nil })
}

func endedContext(t *testing.T, s blob.Store) {
	ctx := canceled(t)
	create(t, s, "there", "x")
	requireError(t, s.Create(ctx, "new", strings.NewReader("x"), 1), context.Canceled)
	requireError(t, s.Put(ctx, "there", strings.NewReader("new"), 3), context.Canceled)
	requireError(t, s.Delete(ctx, "there"), context.Canceled)
	_, err := s.Get(ctx, "there", 0, -1)
	requireError(t, err, context.Canceled)
	_, err = s.Stat(ctx, "there")
	requireError(t, err, context.Canceled)
	var last error
	for _, err := range s.List(ctx, "") {
		last = err
	}
	requireError(t, last, context.Canceled)
	requireAbsent(t, s, "new")
	require.Equal(t, "x", get(t, s, "there", 0, -1))
}

func contextEndsInBody(t *testing.T, s blob.Store) {
	for op, write := range writers(s) {
		for _, after := range []int{10, raceSize} {
			ctx, cancel := context.WithCancel(t.Context())
			sent := 0
			body := bodyFunc(func(p []byte) (int, error) {
				if sent += len(p); sent > after {
					cancel()
				}
				clear(p)
				return len(p), nil
			})
			key := fmt.Sprintf("%s/%d", op, after)
			requireError(t, write(ctx, key, body, -1), context.Canceled)
			requireAbsent(t, s, key)
			cancel()
		}
	}
}

func unknownSize(t *testing.T, s blob.Store) {
	for _, n := range []int{0, 1, 4096, someBytes} {
		data := pattern(n, 3)
		key := fmt.Sprintf("u/%d", n)
		// Not a seeker, and it hands out odd pieces.
		require.NoError(t, s.Create(t.Context(), key, io.MultiReader(bytes.NewReader(data[:n/3]), bytes.NewReader(data[n/3:])), -1))
		requireBytes(t, data, s, key)
		require.NoError(t, s.Put(t.Context(), key, io.MultiReader(bytes.NewReader(data)), int64(n)))
		requireBytes(t, data, s, key)
	}
}

func bigBody(t *testing.T, s blob.Store) {
	data := pattern(bigSize, 5)
	require.NoError(t, s.Create(t.Context(), "big/known", bytes.NewReader(data), bigSize))
	require.NoError(t, s.Put(t.Context(), "big/unknown", io.MultiReader(bytes.NewReader(data)), -1))
	for _, key := range []string{"big/known", "big/unknown"} {
		fi, err := s.Stat(t.Context(), key)
		require.NoError(t, err)
		require.EqualValues(t, bigSize, fi.Size())
		requireBytes(t, data, s, key)
		const off, n = 8<<20 - 7, 100
		require.Equal(t, string(data[off:off+n]), get(t, s, key, off, n))
	}
	requireError(t, s.Create(t.Context(), "big/known", bytes.NewReader(data), bigSize), fs.ErrExist)
	_, err := blob.ReadAll(t.Context(), s, "big/known", bigSize-1)
	require.ErrorIs(t, err, fs.ErrInvalid)
}

func racingCreators(t *testing.T, s blob.Store) {
	RaceCreates(t, same(s, 16), "race", 20)
}

func racingBig(t *testing.T, s blob.Store) {
	race(t, same(s, 3), "race/big", func(i int) []byte { return pattern(raceSize+i, byte(i)) })
}

// race lets every store create key at once: one wins, and the object is its own.
func race(t testing.TB, stores []blob.Store, key string, body func(i int) []byte) {
	t.Helper()
	won := make([]bool, len(stores))
	start := make(chan struct{})
	var wg sync.WaitGroup
	errs := make([]error, len(stores))
	for i, s := range stores {
		data := body(i)
		wg.Go(func() {
			<-start
			err := s.Create(t.Context(), key, bytes.NewReader(data), int64(len(data)))
			won[i] = err == nil
			if err != nil && !errors.Is(err, fs.ErrExist) {
				errs[i] = err
			}
		})
	}
	close(start)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	winner := -1
	for i, w := range won {
		if w {
			require.Equal(t, -1, winner, "two creators of one key both won")
			winner = i
		}
	}
	require.NotEqual(t, -1, winner, "no creator won")
	requireBytes(t, body(winner), stores[0], key)
}

// readersBesidePut checks that no reader ever sees a mixture.
func readersBesidePut(t *testing.T, s blob.Store) {
	const puts, readers = 30, 3
	write := func(i int) error {
		body := bytes.Repeat([]byte{byte('a' + i%26)}, 10_000+i)
		return s.Put(t.Context(), "k", bytes.NewReader(body), int64(len(body)))
	}
	require.NoError(t, write(0))
	done := make(chan struct{})
	errs := make([]error, readers)
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				data, err := blob.ReadAll(t.Context(), s, "k", 1<<20)
				if err == nil && bytes.Count(data, data[:1]) != len(data) || len(data) == 0 {
					err = errors.Join(err, fmt.Errorf("a mixture of %d bytes", len(data)))
				}
				if err != nil {
					errs[r] = err
					return
				}
			}
		})
	}
	for i := range puts {
		require.NoError(t, write(i+1))
	}
	close(done)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

// deletesBesideCreators has one group fill a folder while another empties it: a
// store that removes empty folders must not let a writer fail over that.
func deletesBesideCreators(t *testing.T, s blob.Store) {
	parallel(t, 200, func(i int) error {
		key := fmt.Sprintf("x/y/%d", i)
		if err := s.Create(t.Context(), key, strings.NewReader("x"), 1); err != nil {
			return err
		}
		return s.Delete(t.Context(), key)
	})
	require.Empty(t, keys(t, s, ""))
}

// belowPrefix runs a part of the kit through Sub.
func belowPrefix(t *testing.T, s blob.Store) {
	create(t, s, "outside", "x")
	create(t, s, "pre-x/k", "x")
	sub := blob.Sub(s, "pre")
	createAndGet(t, sub)
	require.Equal(t, []string{"a/b/c.txt", "top"}, keys(t, sub, ""))
	require.Equal(t, []string{"outside", "pre-x/k", "pre/a/b/c.txt", "pre/top"}, keys(t, s, ""))
	for i, check := range []func(*testing.T, blob.Store){
		createExisting, putReplaces, ranges, stat, absentKeys, deletes, invalidKeys, listOrder, listStops, endedContext, unknownSize,
		copies, opened, parallelReads,
	} {
		check(t, blob.Sub(blob.Sub(s, fmt.Sprintf("sub/%d", i)), "x"))
	}
}

// parallel runs f(0) … f(n-1) on a few goroutines.
func parallel(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	const workers = 8
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				errs[w] = f(i)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

// same is the store n times over.
func same(s blob.Store, n int) []blob.Store {
	stores := make([]blob.Store, n)
	for i := range stores {
		stores[i] = s
	}
	return stores
}
