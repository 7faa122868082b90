package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// handle remembers the URL, for a second handle on the same database.
type handle struct {
	*sqlstore.Store
	url string
}

func open(tb testing.TB, url string) handle {
	tb.Helper()
	s, err := sqlstore.Open(tb.Context(), url, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return handle{s, url}
}

func fileURL(path string) string { return "sqlite:" + filepath.ToSlash(path) }

func freshURL(tb testing.TB) string {
	tb.Helper()
	return fileURL(filepath.Join(tb.TempDir(), "registry.db"))
}

func fresh(tb testing.TB) handle {
	tb.Helper()
	return open(tb, freshURL(tb))
}

// onBoth runs a test on an SQLite file and on a schema of PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, freshURL(t))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.SchemaURL(t))
	})
}

func harness(url func(tb testing.TB) string) registrytest.Harness {
	return registrytest.Harness{
		New: func(tb testing.TB) registry.Store { return open(tb, url(tb)) },
		Second: func(tb testing.TB, first registry.Store) registry.Store {
			return open(tb, first.(handle).url)
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		registrytest.Run(t, harness(freshURL))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		pgtest.SchemaURL(t) // skips here, once
		registrytest.Run(t, harness(pgtest.SchemaURL))
	})
}

func BenchmarkStore(b *testing.B) { registrytest.Benchmark(b, harness(freshURL)) }

func BenchmarkPostgres(b *testing.B) { registrytest.Benchmark(b, harness(pgtest.SchemaURL)) }
