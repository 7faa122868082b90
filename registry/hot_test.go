package registry_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// Budgets of allocations of what a server does for every version it reads or
// opens.
func TestAllocations(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 100 {
		files[fmt.Sprintf("data/%03d", i)] = &fstest.MapFile{Data: []byte{byte(i)}}
	}
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), &registry.Options{CacheDir: t.TempDir()})
	v, err := reg.Register(t.Context(), "fraud", registry.Draft{Files: files})
	require.NoError(t, err)
	require.NoError(t, reg.Fetch(t.Context(), v))
	manifest := registry.EncodeManifest(v.Files)
	fsys, err := reg.Open(t.Context(), v)
	require.NoError(t, err)
	for what, b := range map[string]struct {
		most float64
		do   func() error
	}{
		"decode a manifest of 100 files": {105, func() error { _, err := registry.DecodeManifest(manifest); return err }},
		"open a version of 100 files":    {450, func() error { _, err := reg.Open(t.Context(), v); return err }},
		"open a file of the cache": {25, func() error {
			f, err := fsys.Open("data/042")
			require.NoError(t, err)
			return f.Close()
		}},
	} {
		got := testing.AllocsPerRun(20, func() { require.NoError(t, b.do()) })
		t.Logf("%s: %.0f allocations", what, got)
		require.LessOrEqual(t, got, b.most, what)
	}
}
