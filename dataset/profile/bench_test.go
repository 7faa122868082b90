package profile_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// fold is how many values of a column a monitor folds at a time.
const fold = 128

func draw(n int, f func(*rand.Rand) float64) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]float64, n)
	for i := range out {
		out[i] = f(r)
	}
	return out
}

func columnOf(vs []float64) *profile.Column {
	var c profile.Column
	for _, v := range vs {
		c.AddFloat(v)
	}
	return &c
}

func normal(r *rand.Rand) float64    { return r.NormFloat64() }
func lognormal(r *rand.Rand) float64 { return math.Exp(2 * r.NormFloat64()) }
func uniform(r *rand.Rand) float64   { return r.Float64() }
func discrete(r *rand.Rand) float64  { return float64(r.IntN(20)) }
func constant(*rand.Rand) float64    { return 3 }

func cauchy(r *rand.Rand) float64 { return math.Tan(math.Pi * (r.Float64() - 0.5)) }

// zeroInflated is a count of money: mostly nothing, else spread over decades.
func zeroInflated(r *rand.Rand) float64 {
	if r.Float64() < 0.6 {
		return 0
	}
	return math.Round(100*math.Exp(3*r.NormFloat64())) / 100
}

var distributions = []struct {
	name string
	draw func(*rand.Rand) float64
}{
	{"normal", normal},
	{"uniform", uniform},
	{"lognormal sd 2", lognormal},
	{"cauchy", cauchy},
	{"zero inflated", zeroInflated},
	{"20 values", discrete},
	{"constant", constant},
}

func BenchmarkBinsAddFloats(b *testing.B) {
	for _, d := range distributions {
		b.Run(d.name, func(b *testing.B) {
			vs := draw(1<<16, d.draw)
			bins := columnOf(vs).Bins(0)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				bins.AddFloats(vs[n : n+fold])
				n = (n + fold) % len(vs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/fold, "ns/value")
		})
	}
}

func BenchmarkBinsAddCodes(b *testing.B) {
	var c profile.Column
	for i := range 20 {
		c.AddString(strconv.Itoa(i))
	}
	bins := c.Bins(0)
	vs := draw(1<<16, func(r *rand.Rand) float64 { return float64(r.IntN(21)) })
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		bins.AddCodes(vs[n : n+fold])
		n = (n + fold) % len(vs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/fold, "ns/value")
}

func BenchmarkColumnAddFloat(b *testing.B) {
	vs := draw(1<<16, normal)
	var c profile.Column
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		c.AddFloat(vs[n])
		n = (n + 1) % len(vs)
	}
}

func BenchmarkColumnAddString(b *testing.B) {
	for _, cardinality := range []int{20, 1000, 100_000} {
		b.Run(strconv.Itoa(cardinality), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			texts := make([]string, 1<<16)
			for i := range texts {
				texts[i] = "value-" + strconv.Itoa(r.IntN(cardinality))
			}
			var c profile.Column
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				c.AddString(texts[n])
				n = (n + 1) % len(texts)
			}
		})
	}
}

func BenchmarkColumnMerge(b *testing.B) {
	part := columnOf(draw(100_000, normal))
	b.ReportAllocs()
	for b.Loop() {
		var c profile.Column
		_ = c.Merge(part)
		_ = c.Merge(part)
	}
}

func BenchmarkColumnBins(b *testing.B) {
	c := columnOf(draw(1_000_000, normal))
	b.ReportAllocs()
	for b.Loop() {
		c.Bins(0)
	}
}

func BenchmarkReferenceMarshal(b *testing.B) {
	ref := referenceOf(b, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ref.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}

// referenceOf returns a reference of n normal features.
func referenceOf(tb testing.TB, n int) *profile.Reference {
	tb.Helper()
	vs := draw(10_000, normal)
	bins := columnOf(vs).Bins(0)
	features := make([]profile.Feature, n)
	for i := range features {
		features[i] = profile.Feature{Name: "f" + strconv.Itoa(i), Bins: bins.Empty()}
		features[i].Bins.AddFloats(vs)
	}
	return profile.NewReference(features, bins.Empty())
}

func BenchmarkColumnQuantile(b *testing.B) {
	c := columnOf(draw(1_000_000, normal))
	b.ReportAllocs()
	for b.Loop() {
		c.Quantile(0.5)
	}
}
