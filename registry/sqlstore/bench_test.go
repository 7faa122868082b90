package sqlstore_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// BenchmarkRegistry measures the whole way, with files in a folder.
func BenchmarkRegistry(b *testing.B) {
	ctx := b.Context()
	reg := registry.New(fresh(b), folder(b, b.TempDir()), nil)
	model := bytes.Repeat([]byte("m"), 1<<20)
	draft := func(i int) registry.Draft {
		return registry.Draft{
			Files:   fstest.MapFS{"model.json": {Data: append(fmt.Append(nil, i), model...)}, "notes": {Data: fmt.Append(nil, "run ", i)}},
			Profile: fmt.Appendf(nil, `{"format":%d}`, i),
			Metrics: map[string]float64{"auc": 0.9}, Tags: map[string]string{"team": "risk"},
		}
	}
	v, err := reg.Register(ctx, "fraud", draft(-1))
	require.NoError(b, err)
	require.NoError(b, reg.SetAlias(ctx, "fraud", "champion", v.Number, nil))

	b.Run("RegisterNew", func(b *testing.B) { // three new files, 1 MiB in all
		for i := 0; b.Loop(); i++ {
			if _, err := reg.Register(ctx, "fresh", draft(i)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("RegisterSame", func(b *testing.B) { // all three files exist already
		for b.Loop() {
			if _, err := reg.Register(ctx, "same", draft(-1)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ResolveNumber", func(b *testing.B) {
		for b.Loop() {
			if _, err := reg.Resolve(ctx, "fraud/1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ResolveAlias", func(b *testing.B) {
		for b.Loop() {
			if _, err := reg.Resolve(ctx, "fraud@champion"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("OpenAndRead1MiB", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for b.Loop() {
			fsys, err := reg.Open(ctx, v)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := fs.ReadFile(fsys, "model.json"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
