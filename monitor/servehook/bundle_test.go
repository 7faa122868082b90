package servehook_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/servehook"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// feature is a column of the reference: numbers 0 to 99, or words.
type feature struct {
	name  string
	words []string
}

func reference(t testing.TB, features ...feature) *profile.Reference {
	t.Helper()
	columns := make([]profile.Column, len(features)+1)
	const rows = 1000
	for i := range rows {
		for j, f := range features {
			if f.words != nil {
				columns[j].AddString(f.words[i%len(f.words)])
			} else {
				columns[j].AddFloat(float64(i % 100))
			}
		}
		columns[len(features)].AddFloat(float64(i) / rows)
	}
	list := make([]profile.Feature, len(features))
	for j, f := range features {
		list[j] = profile.Feature{Name: f.name, Bins: columns[j].Bins(0)}
	}
	ref := profile.NewReference(list, columns[len(features)].Bins(0))
	row := make([]float64, len(features))
	for i := range rows {
		for j, f := range features {
			row[j] = float64(i % 100)
			if f.words != nil {
				row[j] = float64(list[j].Bins.Code(f.words[i%len(f.words)]))
			}
		}
		require.NoError(t, ref.Observe(row, float64(i)/rows))
	}
	return ref
}

func newMonitor(t testing.TB, ref *profile.Reference) *monitor.Monitor {
	t.Helper()
	m, err := monitor.New(ref, &monitor.Options{Model: "m", Version: "1", Policy: monitor.Policy{MinRows: 1}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}

func newHook(t testing.TB, m *monitor.Monitor, opts *servehook.Options) *servehook.Hook {
	t.Helper()
	h, err := servehook.New(m, opts)
	require.NoError(t, err)
	return h
}

func exchange(id string, inputs []oip.Tensor, outputs ...oip.Tensor) *serve.Exchange {
	return &serve.Exchange{
		Model: "m", Version: "1", RequestID: id,
		Request:  &oip.InferRequest{ID: id, Inputs: inputs},
		Response: &oip.InferResponse{Outputs: outputs},
	}
}

// cut closes the window and gives its features by name.
func cut(t testing.TB, m *monitor.Monitor) (monitor.Report, map[string]monitor.FeatureReport) {
	t.Helper()
	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	byName := map[string]monitor.FeatureReport{}
	for _, f := range r.Features {
		byName[f.Name] = f
	}
	return r, byName
}
