package sqlstore_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// crowd makes models of ten versions each, in the order of their names: the
// later ones were updated later.
func crowd(tb testing.TB, s registry.Store, models int) {
	tb.Helper()
	const workers = 32 // which share transactions
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < models && errs[w] == nil; i += workers {
				for n := 1; n <= 10 && errs[w] == nil; n++ {
					_, errs[w] = s.CreateVersion(tb.Context(), &registry.Version{
						Name: fmt.Sprintf("model-%04d", i), Created: time.UnixMilli(int64(i*10 + n)).UTC(), Status: registry.Ready,
						Run: fmt.Sprintf("run-%d-%d", i, n), Tags: map[string]string{"checked": strconv.FormatBool(n%2 == 0)},
						Digest: registry.ManifestDigest(nil),
					}, "")
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(tb, err)
	}
}

// What is sought lies together, as far from where the search begins as can be;
// the ways in which SQLite could look for it all have the same answer.
func TestSearchFarFromItsBeginning(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		models := 120
		if strings.HasPrefix(url, "postgres") {
			models = 20 // it plans by itself
		}
		s := open(t, url)
		crowd(t, s, models)
		for filter, want := range map[string]func(i, n int) bool{
			"tags.checked = 'true' AND name LIKE 'model-000%'":                    func(i, n int) bool { return n%2 == 0 && i < 10 },
			"name LIKE 'model-000%'":                                              func(i, n int) bool { return i < 10 },
			"name LIKE '%00_' AND tags.checked != 'true'":                         func(i, n int) bool { return i < 10 && n%2 == 1 },
			"name = 'model-0000' AND tags.checked = 'false'":                      func(i, n int) bool { return i == 0 && n%2 == 1 },
			"run_id IN ('run-0-1', 'run-119-10', 'run-7-3') AND name != 'x'":      func(i, n int) bool { return i == 0 && n == 1 || i == 119 && n == 10 || i == 7 && n == 3 },
			"tags.checked = 'true' AND tags.checked LIKE 't%' AND name LIKE 'm%'": func(i, n int) bool { return n%2 == 0 },
			"name LIKE 'model-00%' AND name LIKE '%5' AND version_number > 8":     func(i, n int) bool { return i < 100 && i%10 == 5 && n > 8 },
			"name ILIKE 'MODEL-0001' AND run_id LIKE 'run-1-%'":                   func(i, n int) bool { return i == 1 },
			"name = 'nobody' AND tags.checked = 'true'":                           func(i, n int) bool { return false },
		} {
			var expected, got []string
			for i := models - 1; i >= 0; i-- { // the latest updated first
				for n := 10; n >= 1; n-- {
					if want(i, n) {
						expected = append(expected, fmt.Sprintf("model-%04d/%d", i, n))
					}
				}
			}
			for token := ""; ; {
				page, next, err := s.SearchVersions(t.Context(), registry.VersionQuery{Filter: filter, Page: registry.Page{Max: 40, Token: token}})
				require.NoError(t, err)
				for _, v := range page {
					got = append(got, v.Ref())
				}
				if token = next; token == "" {
					break
				}
			}
			require.Equal(t, expected, got, filter)
		}
	})
}

// Budgets of allocations, of which about half are the driver's.
func TestAllocations(t *testing.T) {
	ctx, s := t.Context(), fresh(t)
	crowd(t, s, 1)
	_, err := s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "model-0000", Alias: "champion", Time: time.UnixMilli(1).UTC(), To: 3}, 0)
	require.NoError(t, err)
	reg := registry.New(s, nil, nil)
	for what, b := range map[string]struct {
		most float64
		do   func() error
	}{
		"alias":   {90, func() error { _, err := reg.Alias(ctx, "model-0000", "champion"); return err }},
		"version": {190, func() error { _, err := reg.Version(ctx, "model-0000", 3); return err }},
		"resolve": {280, func() error { _, err := reg.Resolve(ctx, "model-0000@champion"); return err }},
		"search versions": {1500, func() error {
			_, _, err := s.SearchVersions(ctx, registry.VersionQuery{Filter: "name = 'model-0000'"})
			return err
		}},
	} {
		got := testing.AllocsPerRun(20, func() { require.NoError(t, b.do()) })
		require.LessOrEqual(t, got, b.most, what)
		t.Logf("%s: %.0f allocations", what, got)
	}
}

func BenchmarkSearch(b *testing.B) {
	s := fresh(b)
	crowd(b, s, 300)
	for name, do := range map[string]func() error{
		"FirstPage": func() error { _, _, err := s.SearchVersions(b.Context(), registry.VersionQuery{}); return err },
		"OfOneModel": func() error {
			_, _, err := s.SearchVersions(b.Context(), registry.VersionQuery{Name: "model-0100"})
			return err
		},
		"ByRun": func() error {
			_, _, err := s.SearchVersions(b.Context(), registry.VersionQuery{Filter: "run_id = 'run-7-3'"})
			return err
		},
		"FarAway": func() error {
			_, _, err := s.SearchVersions(b.Context(), registry.VersionQuery{Filter: "tags.checked = 'true' AND name LIKE 'model-00%'"})
			return err
		},
		"Models": func() error { _, _, err := s.SearchModels(b.Context(), registry.ModelQuery{}); return err },
		"Latest": func() error { _, _, err := s.SearchModels(b.Context(), registry.ModelQuery{Latest: true}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, do())
			}
		})
	}
}
