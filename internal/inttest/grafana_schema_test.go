package inttest_test

import (
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/grafana"
)

// TestGrafanaDashboard reads the dashboard by Grafana's published schema, which
// knows the options of each panel and of Prometheus's queries, and takes no
// field that it does not know.
func TestGrafanaDashboard(t *testing.T) {
	t.Parallel()
	known := cog.NewRuntime()
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(statetimeline.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	data, err := grafana.Dashboard(&grafana.Options{Limits: map[string]float64{"auc": 0.8}})
	require.NoError(t, err)
	var board dashboard.Dashboard
	// A list of no faults is an error that is not nil, there.
	require.Empty(t, board.UnmarshalJSONStrict(data))
	require.Empty(t, board.Validate())
	require.Equal(t, "millwright", *board.Uid)
	require.Greater(t, len(board.Panels), 30)
	require.Len(t, board.Templating.List, 4)
}
