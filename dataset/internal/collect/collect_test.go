package collect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/collect"
)

// TestNoOrderOfStepsLosesAVersion visits every state that one writer and one
// collector can reach behind a table with a history, and the nearest states of
// larger groups.
func TestNoOrderOfStepsLosesAVersion(t *testing.T) {
	t.Parallel()
	all := model{writers: 1, collectors: 1, history: true}
	n, trace := all.search(600_000)
	require.Empty(t, trace, strings.Join(trace, "\n"))
	require.Greater(t, n, 100_000)
	require.Less(t, n, 600_000, "that were not all states")
	for _, m := range []model{{writers: 1, collectors: 1}, {writers: 2, collectors: 1, history: true}, {writers: 1, collectors: 2, history: true}} {
		_, trace := m.search(25_000)
		require.Empty(t, trace, strings.Join(trace, "\n"))
	}
}

// TestRandomOrdersLoseNoVersion lets two writers and two collectors take random
// steps.
func TestRandomOrdersLoseNoVersion(t *testing.T) {
	t.Parallel()
	for seed := range uint64(800) {
		trace := model{writers: 2, collectors: 2, history: seed%2 == 0}.walk(seed, 150)
		require.Empty(t, trace, strings.Join(trace, "\n"))
	}
}

// TestEachRuleIsNeeded takes the rules out one by one: the model finds the
// shortest order of steps that loses a version without it.
func TestEachRuleIsNeeded(t *testing.T) {
	t.Parallel()
	one, two := model{writers: 1, collectors: 1}, model{writers: 1, collectors: 2, history: true}
	for name, c := range map[string]struct {
		off without
		m   model
	}{
		"writers look at the lists":                             {writersLook, one},
		"writers look again when their lease is over":           {viewsAge, one},
		"content that is there already is looked up too":        {hitsLook, one},
		"restored versions are looked up too":                   {restoresLook, one},
		"tagged versions are looked up too":                     {tagsLook, one},
		"what was written before the last look must be there":   {presence, one},
		"the grace lies between the list and the deletes":       {graceBeforeSweep, one},
		"a second mark comes before the deletes":                {secondMark, one},
		"marks see tags":                                        {marksSeeTags, one},
		"ages are counted by the clock of the store":            {storeClock, one},
		"the age of a list starts when writers see it":          {publishedWhenVisible, one},
		"the grace lies between the deletes and the forgetting": {graceBeforeForget, two},
		"a collector deletes only while its lease lasts":        {sweepsAge, two},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := c.m
			m.off = c.off
			n, trace := m.search(400_000)
			require.NotEmpty(t, trace, "nothing broke in %d states", n)
			t.Logf("%d states, %d steps:\n%s", n, len(trace), strings.Join(trace, "\n"))
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	r := collect.Rules{Lease: time.Hour, Grace: 24 * time.Hour}
	require.True(t, r.Valid())
	require.False(t, collect.Rules{Lease: time.Hour, Grace: 2*time.Hour - 1}.Valid())
	require.False(t, collect.Rules{Grace: time.Hour}.Valid())
	require.True(t, r.Relies(time.Hour))
	require.False(t, r.Relies(-1), "a clock that went back says nothing")
	require.False(t, r.Condemns(true, 100*time.Hour))
	require.Equal(t, collect.Wait, r.Next(-time.Hour, -1))
	require.Equal(t, collect.Sweep, r.Next(24*time.Hour, -1))
	require.Equal(t, collect.Retire, r.Next(48*time.Hour, 0))
	require.Equal(t, collect.Forget, r.Next(48*time.Hour, 24*time.Hour))

	v := collect.NewView()
	v.Add("a", false)
	v.Add("b", true)
	v.Add("b", false)
	require.True(t, v.Has("a") && v.Has("b") && v.Erased("b"))
	require.False(t, v.Has("c") || v.Erased("a"))
	require.Equal(t, 2, v.Len())
	require.Less(t, v.Age(), time.Minute)
}
