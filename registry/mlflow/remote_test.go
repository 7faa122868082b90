package mlflow_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// serveRegistry returns a Conn to our server on a registry.
func serveRegistry(t testing.TB, reg *registry.Registry) *mlflow.Conn {
	t.Helper()
	h, err := mlflow.NewHandler(reg, nil)
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := mlflow.Dial(server.URL, nil)
	require.NoError(t, err)
	return c
}

// wireDifferences are what MLflow's REST API has no place for, whatever the
// server.
var wireDifferences = registrytest.Differences{OwnTimes: true, RecordsOnly: true, GoneForGood: true, NoAudit: true}

func TestConnOnOurServerWithMemory(t *testing.T) {
	t.Parallel()
	registrytest.RunExcept(t, registrytest.Harness{New: func(t testing.TB) registry.Store {
		return serveRegistry(t, registry.New(&registrytest.Mem{}, nil, nil))
	}}, wireDifferences)
}

func TestConnOnOurServerWithSQLite(t *testing.T) {
	t.Parallel()
	registrytest.RunExcept(t, registrytest.Harness{New: func(t testing.TB) registry.Store {
		return serveRegistry(t, registry.New(openStore(t), nil, nil))
	}}, wireDifferences)
}

func openStore(t testing.TB) registry.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "registry.db")), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
