package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// handle remembers the URL, for a second handle on the same file.
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

func fresh(tb testing.TB) handle {
	tb.Helper()
	return open(tb, "sqlite://"+filepath.ToSlash(filepath.Join(tb.TempDir(), "registry.db")))
}

var harness = registrytest.Harness{
	New: func(tb testing.TB) registry.Store { return fresh(tb) },
	Second: func(tb testing.TB, first registry.Store) registry.Store {
		return open(tb, first.(handle).url)
	},
}

func TestConformance(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, harness)
}

func BenchmarkStore(b *testing.B) { registrytest.Benchmark(b, harness) }
