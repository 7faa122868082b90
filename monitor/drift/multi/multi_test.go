package multi_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/multi"
)

// oracle is testdata/oracle.json, which testdata/oracle.py makes.
type oracle struct {
	Ref, Cur   [][]float64
	Components int
	Kept       float64
	RefError   float64 `json:"ref_error"`
	CurError   float64 `json:"cur_error"`
	Variances  []float64
	Width      float64
	MMD2       float64
	Logistic   []float64
}

func loadOracle(t *testing.T) oracle {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "oracle.json"))
	require.NoError(t, err)
	var o oracle
	require.NoError(t, json.Unmarshal(raw, &o))
	return o
}

func TestAgainstScikitLearn(t *testing.T) {
	t.Parallel()
	o := loadOracle(t)
	p, err := multi.FitPCA(o.Ref, nil)
	require.NoError(t, err)
	require.Len(t, p.Basis, o.Components)
	require.InDelta(t, o.Kept, p.Kept, 1e-9)
	require.InDelta(t, o.RefError, p.Reference.Moments().Mean, 1e-9)
	var window multi.Errors
	for _, r := range o.Cur {
		d, err := p.Distance(r, nil)
		require.NoError(t, err)
		window.Add(d)
	}
	require.InDelta(t, o.CurError, window.Moments().Mean, 1e-9)
	r, err := p.Compare(window)
	require.NoError(t, err)
	require.Less(t, r.PValue, 0.05)
	// All directions together reach every row.
	p, err = multi.FitPCA(o.Ref, &multi.PCAOptions{Components: 5})
	require.NoError(t, err)
	require.InDelta(t, 1, p.Kept, 1e-12)
	require.InDelta(t, 0, p.Reference.Sum, 1e-9)

	m, err := multi.MMD(o.Ref, o.Cur, &multi.MMDOptions{Width: o.Width})
	require.NoError(t, err)
	require.InDelta(t, o.MMD2, m.Score, 1e-9)
}

func scaled(t *testing.T, ref, rows [][]float64) [][]float64 {
	t.Helper()
	s, err := multi.FitScale(ref)
	require.NoError(t, err)
	out := make([][]float64, len(rows))
	for i, r := range rows {
		out[i] = s.Apply(r, make([]float64, len(r)))
	}
	return out
}

// sampler draws rows of correlated normals; turn changes how the first two go
// together and leaves every column alone.
type sampler struct{ r *rand.Rand }

func (s sampler) rows(n int, shift, spread, turn float64) [][]float64 {
	out := make([][]float64, n)
	for i := range out {
		a, b, c, d := s.r.NormFloat64(), s.r.NormFloat64(), s.r.NormFloat64(), s.r.NormFloat64()
		rho := 0.9 - turn
		out[i] = []float64{a*spread + shift, (rho*a + math.Sqrt(1-rho*rho)*b) * spread, 0.5*c + 7, 100 * (c + 0.3*d)}
	}
	return out
}

// TestPower wants each to see what no single column shows.
func TestPower(t *testing.T) {
	t.Parallel()
	s := sampler{rand.New(rand.NewPCG(12, 0))}
	ref := s.rows(2000, 0, 1, 0)
	p, err := multi.FitPCA(ref, &multi.PCAOptions{Components: 2})
	require.NoError(t, err)
	f, err := multi.FitFourier(ref, nil)
	require.NoError(t, err)
	last := map[string]float64{"pca": 2, "fourier": 2}
	for _, turn := range []float64{0, 0.2, 0.5, 1.2} {
		var e multi.Errors
		sums := f.Sums()
		for _, r := range s.rows(1000, 0, 1, turn) {
			d, err := p.Distance(r, nil)
			require.NoError(t, err)
			e.Add(d)
			require.NoError(t, f.Add(&sums, r, nil))
		}
		a, err := p.Compare(e)
		require.NoError(t, err)
		b, err := f.Compare(sums)
		require.NoError(t, err)
		require.Less(t, a.PValue, last["pca"])
		require.Less(t, b.PValue, last["fourier"])
		last["pca"], last["fourier"] = a.PValue, b.PValue
	}
	require.Less(t, last["pca"], 1e-6)
	require.Less(t, last["fourier"], 1e-6)
	m, err := multi.MMD(scaled(t, ref, ref[:150]), scaled(t, ref, s.rows(150, 0, 1, 1.2)), nil)
	require.NoError(t, err)
	require.Less(t, m.PValue, 0.01)

	// The classifier names the column that moved, and with squares the one that
	// spreads.
	c, err := multi.Classify(ref, s.rows(1000, 0.5, 1, 0), nil)
	require.NoError(t, err)
	require.Less(t, c.PValue, 1e-6)
	require.Greater(t, c.AUC, 0.6)
	require.Equal(t, 0, c.Weights[0].Column)
	require.Positive(t, c.Weights[0].Value)
	c, err = multi.Classify(ref, s.rows(1000, 0, 1.6, 0), nil)
	require.NoError(t, err)
	require.Greater(t, c.PValue, 1e-4)
	c, err = multi.Classify(ref, s.rows(1000, 0, 1.6, 0), &multi.ClassifyOptions{Squares: true})
	require.NoError(t, err)
	require.Less(t, c.PValue, 1e-6)
	require.True(t, c.Weights[0].Square)
	require.Less(t, c.Weights[0].Column, 2)
}

// TestMergeAndStore deals rows out to replicas and goes through JSON.
func TestMergeAndStore(t *testing.T) {
	t.Parallel()
	s := sampler{rand.New(rand.NewPCG(13, 0))}
	ref, window := s.rows(300, 0, 1, 0), s.rows(120, 0.3, 1, 0)
	p, err := multi.FitPCA(ref, nil)
	require.NoError(t, err)
	f, err := multi.FitFourier(ref, &multi.FourierOptions{Features: 16})
	require.NoError(t, err)
	raw, err := json.Marshal(p)
	require.NoError(t, err)
	var p2 multi.PCA
	require.NoError(t, json.Unmarshal(raw, &p2))
	require.NoError(t, p2.Validate())
	require.Equal(t, *p, p2)
	raw, err = json.Marshal(f)
	require.NoError(t, err)
	var f2 multi.Fourier
	require.NoError(t, json.Unmarshal(raw, &f2))
	require.NoError(t, f2.Validate())
	require.Equal(t, *f, f2)

	var all, parts multi.Errors
	sums, sumParts := f.Sums(), f.Sums()
	for replica := range 3 {
		var part multi.Errors
		sumPart := f2.Sums()
		for i, r := range window {
			d, err := p.Distance(r, nil)
			require.NoError(t, err)
			if replica == 0 {
				all.Add(d)
				require.NoError(t, f.Add(&sums, r, nil))
			}
			if i%3 == replica {
				part.Add(d)
				require.NoError(t, f2.Add(&sumPart, r, nil))
			}
		}
		parts.Merge(part)
		require.NoError(t, sumParts.Merge(sumPart))
	}
	a, err := p.Compare(all)
	require.NoError(t, err)
	b, err := p2.Compare(parts)
	require.NoError(t, err)
	require.InEpsilon(t, a.PValue, b.PValue, 1e-9)
	a, err = f.Compare(sums)
	require.NoError(t, err)
	b, err = f2.Compare(sumParts)
	require.NoError(t, err)
	require.InEpsilon(t, a.Score, b.Score, 1e-9)
	// The same either way.
	c, err := f.Between(sums, f.Reference)
	require.NoError(t, err)
	require.InEpsilon(t, a.Score, c.Score, 1e-12)
	require.ErrorIs(t, sums.Merge(multi.Features{}), multi.ErrInvalid)
}

func TestOddValues(t *testing.T) {
	t.Parallel()
	s := sampler{rand.New(rand.NewPCG(14, 0))}
	ref := s.rows(200, 0, 1, 0)
	for i := range ref {
		ref[i] = append(ref[i], 4) // A constant.
	}
	ref[3][1], ref[4][2], ref[5][0] = math.NaN(), math.Inf(1), math.MaxFloat64
	odd := [][]float64{{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()}, {math.Inf(1), math.Inf(-1), 0, 0, 4}, {math.MaxFloat64, -math.MaxFloat64, 1, 1, 5}}
	p, err := multi.FitPCA(ref, nil)
	require.NoError(t, err)
	f, err := multi.FitFourier(ref, nil)
	require.NoError(t, err)
	sums := f.Sums()
	for i, r := range odd {
		d, err := p.Distance(r, make([]float64, 5))
		require.NoError(t, err)
		require.False(t, math.IsNaN(d) || math.IsInf(d, 0), "row %d", i)
		require.NoError(t, f.Add(&sums, r, make([]float64, 5)))
	}
	d, err := p.Distance(odd[0], nil)
	require.NoError(t, err)
	require.Zero(t, d, "a row without values is the mean row")
	m, err := f.Compare(sums)
	require.NoError(t, err)
	require.False(t, math.IsNaN(m.Score+m.PValue))
	c, err := multi.Classify(ref, append(odd, ref[:20]...), nil)
	require.NoError(t, err)
	require.False(t, math.IsNaN(c.AUC+c.PValue+c.Weights[0].Value))

	constant := [][]float64{{1, 2}, {1, 2}, {1, 2}, {1, 2}}
	p, err = multi.FitPCA(constant, nil)
	require.NoError(t, err)
	require.Empty(t, p.Basis)
	require.Zero(t, p.Kept)
	require.NoError(t, p.Validate())
	f, err = multi.FitFourier(constant, nil)
	require.NoError(t, err)
	m, err = f.Compare(f.Reference)
	require.NoError(t, err)
	require.Zero(t, m.Score)
	require.EqualValues(t, 1, m.PValue)
	m, err = multi.MMD(constant, constant, nil)
	require.NoError(t, err)
	require.InDelta(t, 0, m.Score, 1e-12)
	require.InDelta(t, 1, m.PValue, 1e-12)
	c, err = multi.Classify(constant, constant, nil)
	require.NoError(t, err)
	require.EqualValues(t, 0.5, c.AUC)
	require.GreaterOrEqual(t, c.PValue, 0.5)
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	good := [][]float64{{1, 2}, {2, 1}, {3, 5}, {0, 1}, {1, 1}}
	for _, bad := range [][][]float64{nil, {{}}, {{1, 2}, {1}}} {
		_, err := multi.FitScale(bad)
		require.ErrorIs(t, err, multi.ErrInvalid)
		_, err = multi.FitPCA(bad, nil)
		require.ErrorIs(t, err, multi.ErrInvalid)
		_, err = multi.FitFourier(bad, nil)
		require.ErrorIs(t, err, multi.ErrInvalid)
		for _, pair := range [][2][][]float64{{bad, good}, {good, bad}} {
			_, err = multi.MMD(pair[0], pair[1], nil)
			require.ErrorIs(t, err, multi.ErrInvalid)
			_, err = multi.Classify(pair[0], pair[1], nil)
			require.ErrorIs(t, err, multi.ErrInvalid)
		}
	}
	_, err := multi.FitPCA(good, &multi.PCAOptions{Keep: 2, Components: 9})
	require.EqualError(t, err, "multi: pca: Keep is 2, want more than 0 and at most 1; Components is 9, want 0 to the 2 columns: invalid")
	_, err = multi.FitFourier(good[:1], &multi.FourierOptions{Features: -1, Width: -1})
	require.ErrorIs(t, err, multi.ErrInvalid)
	_, err = multi.MMD(good, good[:1], &multi.MMDOptions{Width: math.NaN(), Permutations: -1})
	require.ErrorIs(t, err, multi.ErrInvalid)
	_, err = multi.MMD(good, [][]float64{{1, math.NaN()}, {1, 1}}, nil)
	require.ErrorIs(t, err, multi.ErrInvalid)
	_, err = multi.Classify(good, good[:3], &multi.ClassifyOptions{Ridge: -1})
	require.ErrorIs(t, err, multi.ErrInvalid)
	p, err := multi.FitPCA(good, nil)
	require.NoError(t, err)
	_, err = p.Distance([]float64{1}, nil)
	require.ErrorIs(t, err, multi.ErrInvalid)
	_, err = p.Compare(multi.Errors{})
	require.ErrorIs(t, err, multi.ErrInvalid)
	f, err := multi.FitFourier(good, nil)
	require.NoError(t, err)
	sums := f.Sums()
	require.ErrorIs(t, f.Add(&sums, []float64{1}, nil), multi.ErrInvalid)
	require.ErrorIs(t, f.Add(&multi.Features{}, good[0], nil), multi.ErrInvalid)
	_, err = f.Compare(sums)
	require.ErrorIs(t, err, multi.ErrInvalid)
	_, err = f.Compare(multi.Features{Rows: 1})
	require.ErrorIs(t, err, multi.ErrInvalid)
	require.ErrorIs(t, (&multi.PCA{}).Validate(), multi.ErrInvalid)
	require.ErrorIs(t, (&multi.Fourier{}).Validate(), multi.ErrInvalid)
	p.Basis[0] = nil
	require.ErrorIs(t, p.Validate(), multi.ErrInvalid)
	f.Frequencies[0] = nil
	require.ErrorIs(t, f.Validate(), multi.ErrInvalid)
}

func TestRowsDoNotAllocate(t *testing.T) {
	s := sampler{rand.New(rand.NewPCG(15, 0))}
	ref := s.rows(100, 0, 1, 0)
	p, err := multi.FitPCA(ref, nil)
	require.NoError(t, err)
	f, err := multi.FitFourier(ref, nil)
	require.NoError(t, err)
	sums, scratch := f.Sums(), make([]float64, 4)
	require.Zero(t, testing.AllocsPerRun(50, func() { _, _ = p.Distance(ref[0], scratch) }))
	require.Zero(t, testing.AllocsPerRun(50, func() { _ = f.Add(&sums, ref[0], scratch) }))
}

func BenchmarkRow(b *testing.B) {
	r := rand.New(rand.NewPCG(16, 0))
	rows := make([][]float64, 500)
	for i := range rows {
		rows[i] = make([]float64, 32)
		for j := range rows[i] {
			rows[i][j] = r.NormFloat64()
		}
	}
	scratch := make([]float64, 32)
	p, err := multi.FitPCA(rows, &multi.PCAOptions{Components: 20})
	require.NoError(b, err)
	f, err := multi.FitFourier(rows, nil)
	require.NoError(b, err)
	sums := f.Sums()
	b.Run("pca", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = p.Distance(rows[0], scratch)
		}
	})
	b.Run("fourier", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = f.Add(&sums, rows[0], scratch)
		}
	})
}
