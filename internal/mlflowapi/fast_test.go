package mlflowapi_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

// decoded returns the number as both decoders read it.
func decoded(t *testing.T, text string) float64 {
	t.Helper()
	var m mlflowapi.LogBatch
	require.NoError(t, mlflowapi.DecodeRequest([]byte(`{"run_id":"r","metrics":[{"key":"k","value":`+text+`,"timestamp":1}]}`), &m), text)
	var single mlflowapi.LogMetric
	require.NoError(t, mlflowapi.DecodeRequest([]byte(`{"run_id":"r","key":"k","value":`+text+`,"timestamp":1}`), &single), text)
	require.Equal(t, math.Float64bits(*single.Value), math.Float64bits(m.Metrics[0].Value), text)
	return m.Metrics[0].Value
}

func TestNumbersAreRoundedAsTheStandardLibraryDoes(t *testing.T) {
	t.Parallel()
	check := func(text string) {
		want, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(want), math.Float64bits(decoded(t, text)), text)
	}
	for _, text := range []string{
		"0", "-0", "0.0", "1", "0.1", "9007199254740993", "9007199254740992.5", "9007199254740993.5", "18014398509481985",
		"9999999999999999999", "0.9999999999999999999", "1.000000000000000055", "1.00000000000000011102230246251565",
		"0.0000000000000000001", "1844674407370955.1615", "9223372036854775807", "4503599627370497.5", "4503599627370496.5",
		"1e5", "1.5e-7", "12345678901234567890123", "0.500000000000000166", "2.2250738585072014e-308", "5e-324",
	} {
		check(text)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		digits := 1 + rng.IntN(19)
		mantissa := rng.Uint64() % uint64(math.Pow10(digits))
		text := strconv.FormatUint(mantissa, 10)
		if point := rng.IntN(len(text) + 1); point > 0 && point < len(text) {
			text = text[:point] + "." + text[point:]
		} else if point == 0 {
			text = "0." + text
		}
		check(text)
	}
	for range 5_000 {
		v := math.Float64frombits(rng.Uint64())
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(v), math.Float64bits(decoded(t, string(text))), "%s", text)
	}
}
