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
	f.Add("millwright-manifest 1\n", "", "", "", "", "", "")
	f.Add("millwright-manifest 1\n"+
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 a\n",
		`{"inputs":[]}`, `[{"name":"d","version":"1"}]`, `{"auc":0.1,"z":-0}`, `{"commit":"c0","dirty":true}`,
		`[{"payloadType":"p","payload":"AAE=","signatures":[{"keyid":"k","sig":"Ag=="}]}]`, `{"k":"v","":"\u0000"}`)
	f.Add("", "{", "{}", "[1e999]", "null", "[{}]", "[]")
	f.Fuzz(func(t *testing.T, manifest, signature, datasets, metrics, code, signed, tags string) {
		var v registry.Version
		err := decode(&v, encoded{
			manifest: manifest, signature: texted(signature), datasets: texted(datasets),
			metrics: texted(metrics), code: texted(code), signed: texted(signed), tags: texted(tags),
		})
		if err != nil {
			return
		}
		cols, err := encode(&v)
		require.NoError(t, err)
		require.Equal(t, manifest, cols.manifest)
		require.Equal(t, signature, cols.signature.String)
		var again registry.Version
		require.NoError(t, decode(&again, cols))
		// Compared as JSON: {} and [] come back as nothing.
		for _, pair := range [][2]any{{v.Metrics, again.Metrics}, {v.Datasets, again.Datasets}, {v.Signed, again.Signed}, {v.Code, again.Code}} {
			a, err := json.Marshal(pair[0])
			require.NoError(t, err)
			b, err := json.Marshal(pair[1])
			require.NoError(t, err)
			if string(a) != "{}" && string(a) != "[]" {
				require.Equal(t, string(a), string(b))
			}
		}
	})
}

func TestEncodeLeavesOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	cols, err := encode(&registry.Version{Datasets: []registry.Dataset{}, Metrics: map[string]float64{}, Signed: []registry.Envelope{}})
	require.NoError(t, err)
	for _, c := range []sql.NullString{cols.signature, cols.datasets, cols.metrics, cols.code, cols.signed} {
		require.False(t, c.Valid)
	}
}
