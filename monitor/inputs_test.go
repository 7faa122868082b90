package monitor_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

var english = strings.Fields("the order came late and i would like my money back please tell me where it is thanks for your help with this")

// textOf is a text of words drawn from a list.
func (s *source) textOf(words []string) string {
	var out []string
	for range 5 + s.rng.IntN(20) {
		out = append(out, words[s.rng.IntN(len(words))])
	}
	return strings.Join(out, " ")
}

// vector is near one of two centres.
func (s *source) vector(shift float32) []float32 {
	out := make([]float32, 24)
	sign := float32(1 - 2*s.rng.IntN(2))
	for i := range out {
		out[i] = sign + float32(s.rng.NormFloat64())
	}
	out[3] += shift
	return out
}

// described is a reference with texts and vectors, as it comes out of a registry.
func described(t testing.TB, src *source) *profile.Reference {
	b, err := profile.NewSummaryBuilder([]string{"comment"}, []string{"embedding"})
	require.NoError(t, err)
	for range 4000 {
		require.NoError(t, b.Add([]string{src.textOf(english)}, [][]float32{src.vector(0)}))
	}
	ref := src.reference(t, 4000)
	ref.Summary, err = b.Summary()
	require.NoError(t, err)
	require.EqualValues(t, 2000, ref.Summary.Counts.Rows)
	data, err := json.Marshal(ref)
	require.NoError(t, err)
	loaded := &profile.Reference{}
	require.NoError(t, json.Unmarshal(data, loaded))
	again, err := json.Marshal(loaded)
	require.NoError(t, err)
	require.Equal(t, string(data), string(again))
	return loaded
}

// TestTextsAndVectors has texts and embeddings that stay as they were, and such
// that move in one way each: the report names what describes it.
func TestTextsAndVectors(t *testing.T) {
	t.Parallel()
	src := newSource(95, 2, true)
	ref := described(t, src)
	// Nobody waits for the goroutine behind: Snapshot counts what is there.
	observe := func(m *monitor.Monitor, text func() string, vector func() []float32) monitor.Report {
		for i := range 3000 {
			id := monitor.NewID("r", i).Row(i << 8)
			m.Observe(src.row(nil), 0.5, id)
			m.ObserveInputs(id, []string{text()}, [][]float32{vector()})
			if i%100 == 0 {
				m.Snapshot()
			}
		}
		require.Zero(t, m.Snapshot().InputsSkipped)
		require.EqualValues(t, 3000, m.Snapshot().Inputs)
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		require.Zero(t, m.Snapshot().Inputs)
		_, err = json.Marshal(r)
		require.NoError(t, err)
		require.Len(t, r.Features, 3+4+7)
		return r
	}
	plain, near := func() string { return src.textOf(english) }, func() []float32 { return src.vector(0) }
	for name, c := range map[string]struct {
		text   func() string
		vector func() []float32
		want   []string
	}{
		"as before":      {plain, near, nil},
		"other words":    {func() string { return src.textOf(strings.Fields("wo bleibt mein paket das kam nie an")) }, near, []string{"comment.unseen"}},
		"another script": {func() string { return src.textOf(strings.Fields("где мой заказ спасибо")) }, near, []string{"comment.non_ascii", "comment.unseen"}},
		"longer":         {func() string { return src.textOf(english) + " " + src.textOf(english) }, near, []string{"comment.characters", "comment.words"}},
		"missing":        {func() string { return profile.NullText }, near, []string{"comment.characters"}},
		"moved":          {plain, func() []float32 { return src.vector(7) }, []string{"embedding.distance", "embedding.norm"}},
		"another length": {plain, func() []float32 { return make([]float32, 3) }, []string{"embedding.norm", "embedding.cell"}},
		"with NaN":       {plain, func() []float32 { v := src.vector(0); v[1] = float32(math.NaN()); return v }, []string{"embedding.norm"}},
		"one centre only": {plain, func() []float32 {
			v := src.vector(0)
			for i := range v {
				v[i] = float32(math.Abs(float64(v[i])))
			}
			return v
		}, []string{"embedding.cell"}},
	} {
		src = newSource(97, 2, true) // The order of the cases is chance.
		m := newMonitor(t, ref, &monitor.Options{InputShare: 1, MaxPending: -1})
		r := observe(m, c.text, c.vector)
		alarms := map[string]bool{}
		for _, f := range r.Features {
			if f.Alarm() {
				alarms[f.Name] = true
			}
		}
		if c.want == nil {
			require.Empty(t, alarms, name)
			require.Equal(t, monitor.OK, r.Verdict, name)
			continue
		}
		require.Equal(t, monitor.Drift, r.Verdict, name)
		require.NotEmpty(t, r.Causes)
		for _, feature := range c.want {
			require.True(t, alarms[feature], "%s: %s is not among %v", name, feature, alarms)
		}
		for feature := range alarms {
			require.True(t, strings.HasPrefix(feature, strings.SplitN(c.want[0], ".", 2)[0]), "%s: %s", name, feature)
		}
	}
}

// TestInputsAreASample looks at which rows are kept, and at what they cost the
// others.
func TestInputsAreASample(t *testing.T) { // Not parallel: allocations are counted for the whole process.
	src := newSource(96, 1, false)
	ref := described(t, src)
	m := newMonitor(t, ref, nil)
	texts, vectors := []string{src.textOf(english)}, [][]float32{src.vector(0)}
	for i := range 16_000 {
		m.ObserveInputs(monitor.NewID("request "+string(rune('a'+i%26))+strings.Repeat("x", i%97), i/2522), texts, vectors)
		if i%100 == 0 {
			m.Snapshot()
		}
	}
	for i := range 16_000 {
		m.ObserveInputs(monitor.ID{}, texts, vectors) // Without an id: as many.
		if i%100 == 0 {
			m.Snapshot()
		}
	}
	s := m.Snapshot()
	require.InDelta(t, 2000, float64(s.Inputs+s.InputsSkipped), 1000)
	out := monitor.ID{255}
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.ObserveInputs(out, texts, vectors) }))

	// More than can wait while the window is busy: counted, and never waited for.
	all := newMonitor(t, ref, &monitor.Options{InputShare: 1})
	for range 2000 {
		all.ObserveInputs(monitor.ID{1}, texts, vectors)
	}
	s = all.Snapshot()
	require.EqualValues(t, 2000, s.Inputs+s.InputsSkipped)

	plain := newMonitor(t, src.reference(t, 500), nil)
	plain.ObserveInputs(monitor.ID{}, texts, vectors)
	require.Zero(t, plain.Snapshot().Inputs)
	_, err := monitor.New(ref, &monitor.Options{InputShare: 2})
	require.ErrorIs(t, err, monitor.ErrInvalid)
	ref.Summary = &profile.Summary{}
	_, err = monitor.New(ref, nil)
	require.ErrorIs(t, err, monitor.ErrInvalid)
}
