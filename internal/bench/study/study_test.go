package main

import (
	"compress/gzip"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// sample is each twentieth row of the reference and each eighth of four weeks of the
// flights, as data.py writes them.
func sample(t *testing.T) *table {
	f, err := os.Open(filepath.Join("testdata", "flights.csv.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	tab, err := parseTable(z)
	require.NoError(t, err)
	return tab
}

// A small part of the study: summer is found, by name; the same rows shuffled are not.
func TestStudy(t *testing.T) {
	t.Parallel()
	tab := sample(t)
	o, err := watch(t.Context(), tab, 0)
	require.NoError(t, err)
	require.Equal(t, "auc", o.metric)
	require.Len(t, o.windows, 4)
	july := o.windows[2]
	require.Equal(t, "07-08", july.name)
	require.Equal(t, monitor.Drift, july.verdict)
	require.Contains(t, july.limits, "temp", "no day of winter is as warm")
	require.Equal(t, monitor.StateDrift, july.state)
	require.Positive(t, july.psi)
	require.Positive(t, july.evidently)
	require.Positive(t, july.nannyml)

	control, err := watch(t.Context(), tab.shuffled(), 0)
	require.NoError(t, err)
	require.Zero(t, control.sum(every).ours)
	require.Empty(t, control.triggers)

	var one, two strings.Builder
	r := result{set: sets()[0], real: o, control: control}
	require.NoError(t, write(&one, []result{r}))
	again, err := watch(t.Context(), tab, 0)
	require.NoError(t, err)
	r.real = again
	require.NoError(t, write(&two, []result{r}))
	require.Equal(t, one.String(), two.String(), "the same rows make the same document")
	require.Contains(t, one.String(), "| 07-08 | ")
	require.Contains(t, string(picture(&r)), "</svg>")
}

// What NumPy's histogram_bin_edges says by Doane's rule, and its histogram.
func TestDoaneIsNumPys(t *testing.T) {
	t.Parallel()
	values := []float64{0, 0.5, 1, 1, 2, 2, 2, 3, 4, 9}
	edges := doane(values)
	require.Len(t, edges, 8)
	require.InDelta(t, 9.0/7, edges[1], 1e-12)
	require.InDeltaSlice(t, []float64{0.4, 0.3, 0.1, 0.1, 0, 0, 0.1}, histogram(values, edges), 1e-12)
	require.InDelta(t, 0.5, histogram([]float64{1, 20}, edges)[0], 1e-12, "what is outside is in no bin")
}

func TestTableIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a,b\n", "window,score,label,n:x\n", "window,score,label,n:x\n,0,0,one\n,0,0\n"} {
		_, err := parseTable(strings.NewReader(text))
		require.Error(t, err, text)
	}
	tab, err := parseTable(strings.NewReader("window,score,label,n:x,c:y\n,0.5,,1,\n1,0.5,1,,b\n"))
	require.NoError(t, err)
	require.True(t, math.IsNaN(tab.reference[0].label))
	numbers, texts := tab.column(tab.windows[0].rows, 1)
	require.Empty(t, numbers)
	require.Equal(t, []string{"b"}, texts)
}
