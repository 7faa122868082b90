package monitor

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// FuzzState gives the decoder sections that a checksum belongs to, which a
// fuzzer would never find by itself. What it takes must be safe to go on with.
func FuzzState(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x, c, s profile.Column
	for i := range 200 {
		x.AddFloat(rng.NormFloat64())
		c.AddString([]string{"a", "b"}[i%2])
		s.AddFloat(rng.Float64())
	}
	ref := profile.NewReference([]profile.Feature{{Name: "x", Bins: x.Bins(4)}, {Name: "c", Bins: c.Bins(0)}}, s.Bins(4))
	for i := range 200 {
		require.NoError(f, ref.Observe([]float64{rng.NormFloat64(), float64(i % 2)}, rng.Float64()))
	}
	fresh := func(t testing.TB) *Monitor {
		m, err := New(ref, &Options{
			MaxPending: 16, SliceBy: []string{"c"}, Spans: []Span{{Name: "long", Windows: 2}}, Policy: Policy{MinRows: 1},
		})
		require.NoError(t, err)
		return m
	}
	m := fresh(f)
	body := func() []byte {
		b := m.state()
		return b[len(stateMagic) : len(b)-4]
	}
	f.Add(body())
	for i := range 20 {
		m.Observe([]float64{rng.NormFloat64(), float64(i % 3)}, rng.Float64(), NewID("r", i))
		m.Label(NewID("r", i), float64(i%2))
		if i%4 == 3 {
			_, err := m.Cut(f.Context())
			require.NoError(f, err)
			f.Add(body())
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte(stateMagic), body...)
		data = binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
		m := fresh(t)
		if err := m.setState(data); err != nil {
			require.Zero(t, m.Snapshot().Predictions)
			return
		}
		m.state()
		m.Observe([]float64{1, 0}, 0.5, NewID("fresh", 0))
		m.Label(NewID("fresh", 0), 1)
		_, err := m.Cut(t.Context())
		require.NoError(t, err)
		m.Snapshot()
		require.NoError(t, m.Shutdown(t.Context()))
	})
}
