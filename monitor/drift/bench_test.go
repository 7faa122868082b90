package drift_test

import (
	"testing"

	"github.com/millwright-ml/millwright/monitor/drift"
)

func bins64() (ref, cur []uint64, positions []float64) {
	s := newSampler(1, 64)
	positions = make([]float64, 64)
	for i := range positions {
		positions[i] = float64(i)
	}
	return s.draw(200_000), s.draw(10_000), positions
}

func BenchmarkMeasures(b *testing.B) {
	ref, cur, positions := bins64()
	for name, f := range measures {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = f(ref, cur)
			}
		})
	}
	b.Run("Wasserstein", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = drift.Wasserstein(ref, cur, positions, 1)
		}
	})
	b.Run("All", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = drift.All(ref, cur, positions, 1)
		}
	})
	for _, m := range drift.Methods()[7:] {
		if m == drift.MethodWasserstein || m == drift.MethodKolmogorovSmirnov {
			continue
		}
		b.Run(string(m), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = m.Measure(ref, cur, positions, 1)
			}
		})
	}
}

func BenchmarkBenjaminiHochberg(b *testing.B) {
	p := make([]float64, 32)
	for i := range p {
		p[i] = float64((i*37)%32+1) / 33
	}
	b.ReportAllocs()
	for b.Loop() {
		drift.BenjaminiHochberg(p)
	}
}

func BenchmarkAUC(b *testing.B) {
	scores, positive := make([]float64, 10_000), make([]bool, 10_000)
	for i := range scores {
		scores[i] = float64((i * 7919) % 10_007)
		positive[i] = i%3 == 0
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = drift.AUC(scores, positive)
	}
}
