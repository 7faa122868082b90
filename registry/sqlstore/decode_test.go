package sqlstore

import (
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// FuzzDecode feeds the text columns of a version: whatever they hold, decoding
// ends in an error or in a value that encodes to an equal one.
func FuzzDecode(f *testing.F) {
	f.Add("millwright-manifest 1\n", "", "", "", "")
	f.Add("millwright-manifest 1\n"+
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 a\n",
		`{"inputs":[]}`, `[{"name":"d","version":"1"}]`, `{"auc":0.1,"z":-0}`, `{"k":"v","":"\u0000"}`)
	f.Add("", "{", "{}", "[1e999]", "null")
	f.Fuzz(func(t *testing.T, manifest, signature, datasets, metrics, tags string) {
		var v registry.Version
		err := decode(&v, encoded{
			manifest: []byte(manifest), signature: text([]byte(signature)), datasets: text([]byte(datasets)),
			metrics: text([]byte(metrics)), tags: text([]byte(tags)),
		})
		if err != nil {
			return
		}
		cols, err := encode(&v)
		require.NoError(t, err)
		require.Equal(t, manifest, string(cols.manifest))
		require.Equal(t, signature, cols.signature.String)
		var again registry.Version
		require.NoError(t, decode(&again, cols))
		// Compared as JSON: {} and [] come back as nothing.
		for _, pair := range [][2]any{{v.Metrics, again.Metrics}, {v.Tags, again.Tags}} {
			a, err := json.Marshal(pair[0])
			require.NoError(t, err)
			b, err := json.Marshal(pair[1])
			require.NoError(t, err)
			if string(a) != "{}" {
				require.Equal(t, string(a), string(b))
			}
		}
		if len(v.Datasets) > 0 {
			require.Equal(t, v.Datasets, again.Datasets)
		}
	})
}

func TestEncodeLeavesOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	cols, err := encode(&registry.Version{Datasets: []registry.Dataset{}, Metrics: map[string]float64{}})
	require.NoError(t, err)
	for _, c := range []sql.NullString{cols.signature, cols.datasets, cols.metrics, cols.tags} {
		require.False(t, c.Valid)
	}
}
