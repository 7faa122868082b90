package datasettest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// race runs f for each writer, and reports what failed.
func race(t *testing.T, writers int, f func(w int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() { errs[w] = f(w) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

// writersRace: every acknowledged commit is there once, with its row, and in the
// order of the numbers.
func writersRace(t *testing.T, l *lake) {
	ctx := t.Context()
	l.create(t)
	handles := make([]*dataset.Dataset, l.opts.Writers)
	input := make([][]array.RecordReader, l.opts.Writers)
	for w := range handles {
		handles[w] = l.open(t)
		for i := range l.opts.Commits {
			input[w] = append(input[w], rows{int64(w*1000 + i): {float64(w), "w"}}.reader(t))
		}
	}
	var mu sync.Mutex
	rowOf := map[int64]int64{} // By version.
	race(t, l.opts.Writers, func(w int) error {
		for i, rr := range input[w] {
			v, err := handles[w].Append(ctx, rr, nil)
			if err != nil {
				return fmt.Errorf("writer %d, commit %d: %w", w, i, err)
			}
			mu.Lock()
			rowOf[v.Number] = int64(w*1000 + i)
			mu.Unlock()
		}
		return nil
	})
	d := l.open(t)
	total := l.opts.Writers * l.opts.Commits
	require.Len(t, rowOf, total, "two commits have one number")
	require.Len(t, read(t, newest(t, d.Branch)), total)
	var before rows
	for n := range int64(total + 1) {
		v, err := d.Version(ctx, n)
		require.NoError(t, err)
		now := read(t, v)
		if n > 0 {
			require.Len(t, now, len(before)+1)
			require.Contains(t, now, rowOf[n])
			require.NotContains(t, before, rowOf[n])
		}
		before = now
	}
	verified(t, d)
}

// producers: of the commits with one App and AppVersion one happens.
func producers(t *testing.T, l *lake) {
	l.create(t)
	handles := make([]*dataset.Dataset, l.opts.Writers)
	input := make([]array.RecordReader, l.opts.Writers)
	for w := range handles {
		handles[w], input[w] = l.open(t), rows{7: {7, "once"}}.reader(t)
	}
	versions := make([]*dataset.Version, l.opts.Writers)
	race(t, l.opts.Writers, func(w int) (err error) {
		versions[w], err = handles[w].Append(t.Context(), input[w], &dataset.CommitOptions{App: "etl", AppVersion: 1})
		return err
	})
	for _, v := range versions {
		require.EqualValues(t, 1, v.Number)
	}
	require.Equal(t, rows{7: {7, "once"}}, read(t, newest(t, l.open(t).Branch)))
}

// readersBeside: a reader sees whole versions only, each at least as new as the
// one before.
func readersBeside(t *testing.T, l *lake) {
	ctx, stop := context.WithCancel(t.Context())
	d := l.create(t)
	reader := l.open(t)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		for last := int64(0); ctx.Err() == nil; {
			v, err := reader.Latest(t.Context())
			if err == nil && v.Number < last {
				err = fmt.Errorf("version %d comes after %d", v.Number, last)
			}
			if err == nil {
				last = v.Number
				var n int64
				if n, err = count(t.Context(), v); err == nil && (n != v.Rows || n != 10*v.Number) {
					err = fmt.Errorf("version %d shows %d rows, want %d", v.Number, n, 10*v.Number)
				}
			}
			if err != nil {
				failed = err
				return
			}
		}
	})
	for i := range int64(l.opts.Commits) {
		r := rows{}
		for k := range int64(10) {
			r[i*10+k] = cells{1, "x"}
		}
		add(t, d.Branch, r)
	}
	stop()
	wg.Wait()
	require.NoError(t, failed)
}

func count(ctx context.Context, v *dataset.Version) (n int64, err error) {
	rr, err := v.Read(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer rr.Release()
	for rr.Next() {
		n += rr.Record().NumRows()
	}
	return n, rr.Err()
}

// branchesRace: of the writers that make one branch one does, and branches that
// many write to at once do not touch each other.
func branchesRace(t *testing.T, l *lake) {
	ctx := t.Context()
	start := add(t, l.create(t).Branch, rows{1: {1, "a"}})
	handles := make([]*dataset.Dataset, l.opts.Writers)
	input := make([][]array.RecordReader, l.opts.Writers)
	for w := range handles {
		handles[w] = l.open(t)
		for i := range 3 {
			input[w] = append(input[w], rows{int64(100*w + 10 + i): {1, "b"}}.reader(t))
		}
	}
	made := make([]bool, l.opts.Writers)
	race(t, l.opts.Writers, func(w int) error {
		_, err := handles[w].CreateBranch(ctx, "shared", start)
		if made[w] = err == nil; !made[w] && !errors.Is(err, dataset.ErrExists) {
			return err
		}
		own, err := handles[w].CreateBranch(ctx, fmt.Sprint("own", w), start)
		for i := 0; err == nil && i < len(input[w]); i++ {
			_, err = own.Append(ctx, input[w][i], nil)
		}
		return err
	})
	winners := 0
	for _, m := range made {
		if m {
			winners++
		}
	}
	require.Equal(t, 1, winners)
	d := l.open(t)
	for w := range handles {
		require.Equal(t, rows{1: {1, "a"}, int64(100*w + 10): {1, "b"}, int64(100*w + 11): {1, "b"}, int64(100*w + 12): {1, "b"}},
			read(t, resolve(t, d, fmt.Sprint("own", w))))
	}
	require.Len(t, read(t, resolve(t, d, "shared")), 1)
	verified(t, d)
}

func collects(t *testing.T, l *lake) {
	ctx := t.Context()
	d := l.create(t)
	for i := range int64(6) {
		_, err := d.Overwrite(ctx, rows{i: {1, "x"}}.reader(t), nil)
		require.NoError(t, err)
	}
	report, err := l.open(t).Collect(ctx, &dataset.CollectOptions{KeepLast: 2})
	require.NoError(t, err)
	require.True(t, report.DryRun)
	require.EqualValues(t, 2, report.Kept)
	require.EqualValues(t, 4, report.Young, "the files of four versions wait for a day")
	report, err = l.open(t).Collect(ctx, &dataset.CollectOptions{Apply: true, KeepLast: 2})
	require.NoError(t, err)
	require.Zero(t, report.Deleted, "nothing goes before a day has passed")
	for n := int64(1); n <= 6; n++ {
		v, err := d.Version(ctx, n)
		require.NoError(t, err)
		require.Equal(t, rows{n - 1: {1, "x"}}, read(t, v))
	}
	verified(t, d)
}

func erases(t *testing.T, l *lake) {
	ctx := t.Context()
	d := l.create(t)
	const secret = "a-name-to-forget"
	with := add(t, d.Branch, rows{1: {1, "stays"}, 2: {2, secret}})
	require.NoError(t, d.Tag(ctx, "v1", with, nil))
	dev := fork(t, d, "dev", with)
	add(t, dev, rows{3: {3, secret}})
	certificate, err := l.open(t).Erase(ctx, filter.Eq("text", secret), nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, certificate.Rows)
	for _, ref := range []string{"main", "dev", "v1", "1"} {
		require.Equal(t, rows{1: {1, "stays"}}, read(t, resolve(t, l.open(t), ref)), ref)
	}
	store := l.client()
	for info, err := range store.List(ctx, "") {
		require.NoError(t, err)
		data, err := blob.ReadAll(ctx, store, info.Name(), 1<<24)
		require.NoError(t, err)
		require.NotContains(t, string(data), secret, info.Name())
	}
	add(t, d.Branch, rows{4: {4, "later"}})
	verified(t, l.open(t))
}
