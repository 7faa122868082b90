package sqlstore

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking"
)

func anyPlace(sqlsearch.Place) bool { return true }

func TestPlaceTokens(t *testing.T) {
	t.Parallel()
	query := sqlsearch.QuerySum(runSearch, "ab", "c")
	require.NotEqual(t, query, sqlsearch.QuerySum(runSearch, "a", "bc"))
	require.NotEqual(t, query, sqlsearch.QuerySum(modelSearch, "ab", "c"))
	for _, want := range []sqlsearch.Place{
		{}, {Stage: 2, Values: []any{int64(-5), 0.25, "", "text\x00é", int64(1) << 62}},
		{Values: []any{strings.Repeat("long", 10_000)}},
	} {
		token := sqlsearch.Seal(runSearch, query, want)
		got, err := sqlsearch.Open(runSearch, query, token, anyPlace)
		require.NoError(t, err)
		require.Equal(t, want, *got)
		for _, bad := range []string{token[1:], token[:len(token)-1], token + "A", " " + token, token + "=", "x"} {
			_, err := sqlsearch.Open(runSearch, query, bad, anyPlace)
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
		_, err = sqlsearch.Open(modelSearch, query, token, anyPlace)
		require.ErrorIs(t, err, tracking.ErrInvalid)
		_, err = sqlsearch.Open(runSearch, sqlsearch.QuerySum(runSearch, "other"), token, anyPlace)
		require.ErrorIs(t, err, tracking.ErrInvalid)
	}
	none, err := sqlsearch.Open(runSearch, query, "", anyPlace)
	require.NoError(t, err)
	require.Nil(t, none)
}

// Whatever the token, a search answers or says ErrInvalid, and a token that is
// whole but of another form of place is refused too.
func FuzzPlaceToken(f *testing.F) {
	s, err := Open(f.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(f.TempDir(), "x.db")), nil)
	require.NoError(f, err)
	defer func() { require.NoError(f, s.Close()) }()
	q := tracking.RunQuery{Experiments: []tracking.ExperimentID{"1"}, OrderBy: []string{"metrics.m", "params.p DESC"}}
	sum := sqlsearch.QuerySum(runSearch, sqlsearch.ListPart(q.Experiments), string(q.View), q.Filter, sqlsearch.ListPart(q.OrderBy))
	for _, p := range []sqlsearch.Place{
		{}, {Values: []any{0.5, int64(0), "x", int64(5), "run"}}, {Stage: 1, Values: []any{int64(0), "x", int64(5), "run"}},
		{Stage: 9, Values: []any{"x"}}, {Values: []any{"x", int64(0), "x", int64(5), "run"}},
	} {
		f.Add(sqlsearch.Seal(runSearch, sum, p))
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		q := q
		q.Page.Token = token
		if _, _, err := s.SearchRuns(t.Context(), q); err != nil && !errors.Is(err, tracking.ErrInvalid) {
			t.Fatalf("token %q: %v", token, err)
		}
	})
}
