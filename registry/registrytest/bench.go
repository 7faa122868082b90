package registrytest

import (
	"testing"

	"github.com/millwright-ml/millwright/registry"
)

// Benchmark measures the store's part of what a service does: registering a
// version, resolving an alias, moving one.
func Benchmark(b *testing.B, h Harness) {
	b.Run("CreateVersion", func(b *testing.B) {
		ctx, s := b.Context(), h.New(b)
		for i := 0; b.Loop(); i++ {
			if _, err := s.CreateVersion(ctx, bare("fraud", i), ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Version", func(b *testing.B) {
		ctx, s := b.Context(), h.New(b)
		if _, err := s.CreateVersion(ctx, full("fraud", 1), ""); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := s.Version(ctx, "fraud", 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Alias", func(b *testing.B) {
		ctx, s := b.Context(), h.New(b)
		if _, err := s.CreateVersion(ctx, full("fraud", 1), ""); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", Time: at(0), To: 1}, 0); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := aliasOf(ctx, s, "fraud", "champion"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("MoveAlias", func(b *testing.B) {
		ctx, s := b.Context(), h.New(b)
		for i := range 2 {
			if _, err := s.CreateVersion(ctx, bare("fraud", i), ""); err != nil {
				b.Fatal(err)
			}
		}
		for i := 0; b.Loop(); i++ {
			if _, err := s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", Time: at(i), To: 1 + i%2}, -1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
