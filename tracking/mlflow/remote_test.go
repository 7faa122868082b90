package mlflow_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// serveStore returns the address of our server on a store.
func serveStore(t testing.TB, store tracking.Store, artifacts tracking.Artifacts) string {
	t.Helper()
	h, err := mlflow.NewHandler(store, &mlflow.Options{Artifacts: artifacts})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func dial(t testing.TB, address string) *mlflow.Conn {
	t.Helper()
	c, err := mlflow.Dial(address, nil)
	require.NoError(t, err)
	return c
}

// wireDifferences are what MLflow's REST API has no place for, whatever the
// server.
var wireDifferences = trackingtest.Differences{
	Shared:          true, // the handler has made the experiment 0
	OwnIDs:          true, // requests that create carry no id
	OwnTimes:        true, // nor times
	OwnURIs:         true, // nor the artifact URI of a run or logged model
	OwnTags:         true, // servers add mlflow.* tags to traces
	NoDeletionTimes: true, // life cycles have no times
	NotAtomic:       true, // an update of several kinds is several requests
	NoStatusMessage: true, // no request sets it
	RewrittenSpans:  true, // spans travel as OpenTelemetry's
	OnlyTraceTags:   true, // a trace is changed by sending it whole, which makes nothing empty
	// The views of logged models have no place, nor has their restoring.
	ModelsGoForGood: true,
}

func TestConnOnOurServerWithMemory(t *testing.T) {
	t.Parallel()
	trackingtest.RunExcept(t, func(t testing.TB) tracking.Store {
		return dial(t, serveStore(t, &trackingtest.Memory{}, nil))
	}, wireDifferences)
}

func TestConnOnOurServerWithSQLite(t *testing.T) {
	t.Parallel()
	trackingtest.RunExcept(t, func(t testing.TB) tracking.Store {
		return dial(t, serveStore(t, importStore(t), nil))
	}, wireDifferences)
}
