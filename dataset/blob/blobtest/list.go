package blobtest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

func isExist(err error) bool { return errors.Is(err, fs.ErrExist) }

func listOrder(t *testing.T, s blob.Store) {
	require.Empty(t, keys(t, s, ""))
	// The slash sorts between '.' and '0': a walk that sorts names folder by
	// folder gets these wrong.
	all := []string{
		"a-b", "a.c", "a/1", "a/1-x/y", "a/1.x", "a/10", "a/2", "a0", "ab/c", "b/c/d/e", "b/c0", "Z", "é", "zz", "_x/y",
	}
	for _, k := range all {
		create(t, s, k, k)
	}
	slices.Sort(all)
	for _, prefix := range []string{
		"", "a", "a/", "a/1", "a/1-", "a/1-x/", "a/1-x/y", "a/1-x/yz", "b", "b/", "b/c", "b/c/", "ab", "z", "Z", "é", "_", "0", "a/1/", ".", "..",
	} {
		want := []string{}
		for _, k := range all {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		require.Equal(t, want, keys(t, s, prefix), "prefix %q", prefix)
	}
	for fi, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		require.EqualValues(t, len(fi.Name()), fi.Size())
	}
}

// listMany goes past one page of any paged listing.
func listMany(t *testing.T, s blob.Store) {
	const n = 1203
	want := make([]string, n)
	parallel(t, n, func(i int) error {
		want[i] = fmt.Sprintf("many/%c/%05d", 'a'+i%3, i)
		return s.Create(t.Context(), want[i], strings.NewReader("x"), 1)
	})
	slices.Sort(want)
	require.Equal(t, want, keys(t, s, "many/"))
	require.Len(t, keys(t, s, "many/b/"), n/3)
}

func listStops(t *testing.T, s blob.Store) {
	for i := range 5 {
		create(t, s, fmt.Sprintf("d%d/k", i), "x")
	}
	seen := 0
	for _, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		if seen++; seen == 2 {
			break
		}
	}
	require.Equal(t, 2, seen)

	// The loop's body may write to the store it lists.
	for fi, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		require.NoError(t, s.Delete(t.Context(), fi.Name()))
	}
	require.Empty(t, keys(t, s, ""))
}
