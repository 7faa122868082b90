package cmath_test

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/internal/cmath"
)

// The functions are those of the C library, to the last bit.
func TestIsTheLibrary(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/libm.json")
	require.NoError(t, err)
	var tables map[string][][2]string
	require.NoError(t, json.Unmarshal(raw, &tables))
	narrow := func(f func(float32) float32) func(uint64) uint64 {
		return func(x uint64) uint64 { return uint64(math.Float32bits(f(math.Float32frombits(uint32(x))))) }
	}
	for name, f := range map[string]func(uint64) uint64{
		"exp":  func(x uint64) uint64 { return math.Float64bits(cmath.Exp(math.Float64frombits(x))) },
		"expf": narrow(cmath.Exp32),
		"logf": narrow(cmath.Log32),
	} {
		require.Greater(t, len(tables[name]), 500)
		for _, pair := range tables[name] {
			x, err := strconv.ParseUint(pair[0], 10, 64)
			require.NoError(t, err)
			want, err := strconv.ParseUint(pair[1], 10, 64)
			require.NoError(t, err)
			require.Equal(t, want, f(x), "%s of the bits %s", name, pair[0])
		}
	}
	require.True(t, math.IsNaN(cmath.Exp(math.NaN())))
	require.True(t, math.IsNaN(float64(cmath.Exp32(float32(math.NaN())))))
	require.True(t, math.IsNaN(float64(cmath.Log32(-1))))
}
