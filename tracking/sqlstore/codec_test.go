package sqlstore

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
)

// These tests are inside the package: the codecs are nobody else's business.

// series are kinds of metrics as they occur, and as they should not.
func series(n int) map[string][]point {
	r := rand.New(rand.NewPCG(1, 2))
	odd := []float64{0, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1, -1, 0.1, 1 << 62}
	ends := []int64{0, math.MaxInt64, math.MinInt64, 1, -1, 1 << 53}
	out := map[string][]point{}
	for i := range int64(n) {
		out["constant"] = append(out["constant"], point{1, 1, 1, 0})
		out["loss"] = append(out["loss"], point{1_700_000_000_000 + 500*i, i, float64(float32(1 / float64(i+2))), 0})
		out["noise"] = append(out["noise"], point{1_700_000_000_000 + 500*i + r.Int64N(20), 10 * i, r.NormFloat64(), 0})
		out["nan"] = append(out["nan"], point{i, i, 0, i % 2})
		out["odd"] = append(out["odd"], point{ends[r.IntN(len(ends))], ends[r.IntN(len(ends))], odd[r.IntN(len(odd))], 0})
		out["random"] = append(out["random"], point{int64(r.Uint64()), int64(r.Uint64()), math.Float64frombits(r.Uint64() &^ (1 << 62)), 0})
	}
	return out
}

func TestBlockCodecIsExact(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 100, maxBlock} {
		for name, points := range series(n) {
			data := encodeBlock(points)
			got, err := decodeBlock(nil, data)
			require.NoError(t, err, name)
			require.Equal(t, len(points), len(got))
			if n > 0 {
				require.Equal(t, points, got, name)
				t.Logf("%s × %d: %.1f bytes a point", name, n, float64(len(data))/float64(n))
			}
		}
	}
}

func TestLogCodecIsExact(t *testing.T) {
	t.Parallel()
	for name, points := range series(300) {
		var metrics []tracking.Metric
		var ids []int64
		for i, p := range points {
			if p.tsMS > 1<<53 || p.tsMS < 0 {
				p.tsMS, points[i].tsMS = 5, 5 // times beyond that are refused before
			}
			metrics, ids = append(metrics, p.metric("")), append(ids, int64(i%7)*1_000_000+1)
		}
		data, nKeys := encodeLog(metrics, ids)
		require.Equal(t, 7, nKeys)
		got, err := decodeLog(nil, data)
		require.NoError(t, err, name)
		for i := range got {
			require.Equal(t, keyPoint{ids[i], points[i]}, got[i], name)
		}
	}
}

// FuzzBlockCodec: whatever the bytes, decoding ends, stays within its bounds,
// and what it accepts comes back from the encoder.
func FuzzBlockCodec(f *testing.F) {
	for _, points := range series(20) {
		data := encodeBlock(points)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add(binary.AppendUvarint([]byte{blockVersion}, math.MaxUint64))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		points, err := decodeBlock(nil, data)
		if err != nil {
			require.Empty(t, points)
			return
		}
		require.LessOrEqual(t, len(points)*3, len(data)*8)
		again, err := decodeBlock(nil, encodeBlock(points))
		require.NoError(t, err)
		require.Equal(t, len(points), len(again))
		for i := range points {
			require.Equal(t, points[i], again[i])
		}
	})
}

func FuzzLogCodec(f *testing.F) {
	for _, points := range series(5) {
		var metrics []tracking.Metric
		for _, p := range points {
			metrics = append(metrics, p.metric(""))
		}
		data, _ := encodeLog(metrics, make([]int64, len(metrics)))
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	f.Add([]byte{logVersion, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		points, err := decodeLog(nil, data)
		if err != nil {
			require.Empty(t, points)
			return
		}
		require.LessOrEqual(t, len(points)*minLogPoint, len(data))
	})
}

func BenchmarkBlockCodec(b *testing.B) {
	for name, points := range series(maxBlock) {
		data := encodeBlock(points)
		b.Run("Encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				encodeBlock(points)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(points)), "ns/point")
			b.ReportMetric(float64(len(data))/float64(len(points)), "B/point")
		})
		b.Run("Decode/"+name, func(b *testing.B) {
			var out []point
			for b.Loop() {
				out, _ = decodeBlock(out[:0], data)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(points)), "ns/point")
		})
	}
}
