package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func flights(digest string) registry.Dataset {
	return registry.Dataset{Name: "flights", Version: "2", Digest: digest, Context: "evaluation"}
}

// challenger is a draft with everything that gates ask for.
func challenger(auc float64) registry.Draft {
	golden, _ := registry.EncodeGolden([]registry.Golden{{Input: json.RawMessage(`[2]`), Output: json.RawMessage(`{"y":[4.0],"label":"late"}`)}})
	return registry.Draft{
		Files:     fstest.MapFS{"model": {Data: []byte("2")}, "golden.json": {Data: golden}},
		Profile:   []byte(`{"format":1}`),
		Signature: json.RawMessage(`{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,3]}],"outputs":[{"name":"y","datatype":"FP64","shape":[-1]}]}`),
		Golden:    "golden.json", User: "trainer",
		Metrics: map[string]float64{"auc": auc}, Datasets: []registry.Dataset{flights("d2")},
	}
}

// double multiplies by the number in the file "model".
func double(_ context.Context, files fs.FS, input json.RawMessage) (json.RawMessage, error) {
	var x []float64
	if err := json.Unmarshal(input, &x); err != nil {
		return nil, err
	}
	factor, err := fs.ReadFile(files, "model")
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"y":[%v],"label":"late"}`, x[0]*float64(factor[0]-'0')), nil
}

func allGates() []registry.Gate {
	return []registry.Gate{
		registry.MetricAtLeast("auc", 0.6),
		registry.MetricBeats(registry.Comparison{Metric: "auc", Dataset: flights("d2"), Margin: 0.01}),
		registry.SignatureCompatible(), registry.ProfilePresent(),
		registry.GoldenReproduced(double, 1e-9), registry.Approved(1),
	}
}

func TestPromote(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	for _, auc := range []float64{0.70, 0.705, 0.75} {
		_, err := b.Register(ctx, "fraud", challenger(auc))
		require.NoError(t, err)
	}
	opts := &registry.PromoteOptions{Gates: allGates(), By: "ci", Reason: "weekly"}

	// Who registered a version cannot approve it.
	require.NoError(t, b.Approve(ctx, "fraud", 1, "trainer", "mine"))
	d, err := b.Promote(ctx, "fraud", "champion", 1, opts)
	var refused *registry.RefusedError
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, registry.ErrConflict)
	require.False(t, d.Passed())
	require.EqualError(t, err, `registry: promote "fraud" v1 to "champion": refused by 1 of 6 gates: approvals (1): 0 of 1`)
	require.Equal(t, registry.KindRefusal, d.Entry.Kind)
	_, err = b.Alias(ctx, "fraud", "champion")
	require.ErrorIs(t, err, registry.ErrNotFound)

	for n := 1; n <= 3; n++ {
		require.NoError(t, b.Approve(ctx, "fraud", n, "ann", "looked at it"))
	}
	d, err = b.Promote(ctx, "fraud", "champion", 1, opts)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, []int{d.From, d.To})

	_, err = b.Promote(ctx, "fraud", "champion", 2, opts)
	require.EqualError(t, err, `registry: promote "fraud" v2 to "champion": refused by 1 of 6 gates: `+
		`auc against the champion: auc is 0.705, the champion's (v1) 0.7, on flights 2: better by 0.005, want 0.01`)
	d, err = b.Promote(ctx, "fraud", "champion", 3, opts)
	require.NoError(t, err)
	require.Equal(t, 1, d.From)
	var evidence registry.Decision
	require.NoError(t, json.Unmarshal(d.Entry.Evidence, &evidence))
	require.Equal(t, d.Gates, evidence.Gates)
	require.Equal(t, map[string]float64{"value": 0.75, "champion": 0.70, "margin": 0.01}, evidence.Gates[1].Numbers)

	// Everything stands in a log whose chain is whole.
	head, err := b.VerifyAudit(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 8, head.Seq)
}

func TestPromoteFaults(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	_, err := b.Register(ctx, "fraud", challenger(0.7))
	require.NoError(t, err)
	_, err = b.Promote(ctx, "fraud", "latest", 0, &registry.PromoteOptions{Gates: []registry.Gate{{}}})
	require.ErrorIs(t, err, registry.ErrInvalid)
	for _, want := range []string{`alias "latest" is reserved`, "version 0", "By is empty", "gate 1 has no Name"} {
		require.ErrorContains(t, err, want)
	}
	_, err = b.Promote(ctx, "fraud", "champion", 9, &registry.PromoteOptions{By: "ci"})
	require.ErrorIs(t, err, registry.ErrNotFound)
	boom := errors.New("no GPU")
	gate := registry.Gate{Name: "bench", Check: func(context.Context, registry.Candidate) (registry.Verdict, error) {
		return registry.Verdict{}, boom
	}}
	_, err = b.Promote(ctx, "fraud", "champion", 1, &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{gate}})
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, `gate "bench" could not judge`)
	head, err := b.VerifyAudit(ctx)
	require.NoError(t, err)
	require.Zero(t, head.Seq, "what was not decided is not recorded")
}

// A gate sees the champion of the beginning: when another promotion wins
// meanwhile, this one loses.
func TestConcurrentPromotions(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	for range 3 {
		_, err := b.Register(ctx, "fraud", challenger(0.7))
		require.NoError(t, err)
	}
	first := &registry.PromoteOptions{By: "a"}
	_, err := b.Promote(ctx, "fraud", "champion", 1, first)
	require.NoError(t, err)
	slow := registry.Gate{Name: "slow", Check: func(ctx context.Context, _ registry.Candidate) (registry.Verdict, error) {
		_, err := b.Promote(ctx, "fraud", "champion", 2, first)
		return registry.Verdict{Pass: true}, err
	}}
	_, err = b.Promote(ctx, "fraud", "champion", 3, &registry.PromoteOptions{By: "b", Gates: []registry.Gate{slow}})
	var conflict *registry.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, registry.ConflictError{Name: "fraud", Alias: "champion", To: 3, Want: 1, Have: 2}, *conflict)
}

func TestGates(t *testing.T) {
	t.Parallel()
	signature := func(s string) func(*registry.Draft) {
		return func(d *registry.Draft) { d.Signature = json.RawMessage(s) }
	}
	signed := registry.SignatureCompatible()
	beats := registry.MetricBeats(registry.Comparison{Metric: "auc", Dataset: flights("d2")})
	for name, c := range map[string]struct {
		gate   registry.Gate
		change func(*registry.Draft)
		want   string // "" passes
	}{
		"low metric":        {registry.MetricAtLeast("auc", 0.71), nil, "auc is 0.7, want at least 0.71"},
		"high loss":         {registry.MetricAtMost("auc", 0.5), nil, "auc is 0.7, want at most 0.5"},
		"low loss":          {registry.MetricAtMost("auc", 0.7), nil, ""},
		"no loss":           {registry.MetricAtMost("f1", 0.71), nil, `the version has no metric "f1"`},
		"no metric":         {registry.MetricAtLeast("f1", 0.71), nil, `the version has no metric "f1"`},
		"as good":           {beats, nil, ""},
		"other data":        {beats, func(d *registry.Draft) { d.Datasets = []registry.Dataset{flights("d1")} }, `v2 was not judged on dataset "flights" with digest "d2"`},
		"lower is better":   {registry.MetricBeats(registry.Comparison{Metric: "auc", Dataset: flights("d2"), LowerIsBetter: true, Margin: 0.1}), nil, "auc is 0.7, the champion's (v1) 0.7, on flights 2: better by -0, want 0.1"},
		"more inputs":       {signed, signature(`{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,3]},{"name":"z","datatype":"FP64","shape":[-1]}],"outputs":[{"name":"y","datatype":"FP64","shape":[-1]}]}`), `input "z" is missing`},
		"fewer outputs":     {signed, signature(`{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,3]}]}`), `output "y" is missing`},
		"other type":        {signed, signature(`{"inputs":[{"name":"x","datatype":"FP32","shape":[-1,3]}],"outputs":[{"name":"y","datatype":"FP64","shape":[-1]}]}`), `input "x" is FP64, want FP32`},
		"fixed shape":       {signed, signature(`{"inputs":[{"name":"x","datatype":"FP64","shape":[1,3]}],"outputs":[{"name":"y","datatype":"FP64","shape":[-1]}]}`), `input "x" has the shape [-1 3], want [1 3]`},
		"wider shape":       {signed, signature(`{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,-1]}],"outputs":[{"name":"y","datatype":"FP64","shape":[-1]},{"name":"p","datatype":"FP64","shape":[-1]}]}`), ""},
		"optional input":    {signed, signature(`{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,3]},{"name":"z","datatype":"FP64","shape":[-1],"optional":true}],"outputs":[{"name":"y","datatype":"FP64","shape":[-1]}]}`), ""},
		"unknown form":      {signed, signature(`{"columns":[]}`), "it differs from the champion's, and is not in a form that can be compared"},
		"no signature":      {signed, func(d *registry.Draft) { d.Signature = nil }, "the version has no signature"},
		"no profile":        {registry.ProfilePresent(), func(d *registry.Draft) { d.Profile = nil }, `the version has no file "profile.json"`},
		"no golden":         {registry.GoldenReproduced(double, 0), func(d *registry.Draft) { d.Golden = "" }, "the version was registered without golden inputs"},
		"golden off":        {registry.GoldenReproduced(double, 0.1), func(d *registry.Draft) { d.Files.(fstest.MapFS)["model"] = &fstest.MapFile{Data: []byte("3")} }, "case 1 of 1: off by 0.5, allowed 0.1"},
		"golden reproduced": {registry.GoldenReproduced(double, 0), nil, ""},
		"model fails": {registry.GoldenReproduced(func(context.Context, fs.FS, json.RawMessage) (json.RawMessage, error) {
			return nil, errors.New("boom")
		}, 0), nil, "case 1: the model failed: boom"},
		"model talks": {registry.GoldenReproduced(func(context.Context, fs.FS, json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`{"y":[4],"label":"soon"}`), nil
		}, 0), nil, "case 1 of 1: output.label is soon, want late"},
		"unsigned": {registry.SignedBy(), nil, `registry: open "fraud/2": the version is not signed, and Options.Trust demands it: untrusted`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, b := t.Context(), setup(t, nil)
			_, err := b.Register(ctx, "fraud", challenger(0.7))
			require.NoError(t, err)
			_, err = b.Promote(ctx, "fraud", "champion", 1, &registry.PromoteOptions{By: "ci"})
			require.NoError(t, err)
			d := challenger(0.7)
			if c.change != nil {
				c.change(&d)
			}
			_, err = b.Register(ctx, "fraud", d)
			require.NoError(t, err)
			got, err := b.Promote(ctx, "fraud", "champion", 2, &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{c.gate}})
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			var refused *registry.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.want, got.Gates[0].Detail)
		})
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	by := &registry.RollbackOptions{By: "ann", Reason: "latency"}
	_, err := b.Rollback(ctx, "fraud", "champion", by)
	require.ErrorIs(t, err, registry.ErrNotFound)
	for range 4 {
		_, err := b.Register(ctx, "fraud", challenger(0.7))
		require.NoError(t, err)
	}
	for n := 1; n <= 3; n++ {
		_, err := b.Promote(ctx, "fraud", "champion", n, &registry.PromoteOptions{By: "ci"})
		require.NoError(t, err)
	}
	// 1 2 3: back to 2, on to 4, back to 2, back to 1, and there it ends.
	for i, step := range []int{2, -4, 2, 1} {
		if step < 0 {
			_, err := b.Promote(ctx, "fraud", "champion", -step, &registry.PromoteOptions{By: "ci"})
			require.NoError(t, err)
			continue
		}
		e, err := b.Rollback(ctx, "fraud", "champion", by)
		require.NoError(t, err)
		require.Equal(t, step, e.To, "step %d", i)
		require.Equal(t, registry.KindRollback, e.Kind)
	}
	_, err = b.Rollback(ctx, "fraud", "champion", by)
	require.ErrorIs(t, err, registry.ErrNotFound)
	require.ErrorContains(t, err, "it has been at v1 from the beginning")
	_, err = b.Rollback(ctx, "fraud", "champion", nil)
	require.ErrorIs(t, err, registry.ErrInvalid)
}

// What was approved and promoted under a name says nothing about another model
// that gets the name later.
func TestANameIsNoModel(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	yes := true
	make2 := func(name string) {
		t.Helper()
		for n := 1; n <= 2; n++ {
			_, err := b.Register(ctx, name, challenger(0.7))
			require.NoError(t, err)
		}
	}
	opts := &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{registry.Approved(1)}}
	make2("fraud")
	for n := 1; n <= 2; n++ {
		require.NoError(t, b.Approve(ctx, "fraud", n, "ann", ""))
		_, err := b.Promote(ctx, "fraud", "champion", n, opts)
		require.NoError(t, err)
	}
	require.NoError(t, b.UpdateModel(ctx, "fraud", registry.ModelUpdate{Deleted: &yes}))
	require.NoError(t, b.PurgeModel(ctx, "fraud", "ann"))
	make2("fraud")
	_, err := b.Promote(ctx, "fraud", "champion", 1, opts)
	require.ErrorContains(t, err, "approvals (1): 0 of 1", "the approval was the purged model's")
	require.NoError(t, b.SetAlias(ctx, "fraud", "champion", 1, nil))
	_, err = b.Rollback(ctx, "fraud", "champion", &registry.RollbackOptions{By: "ann"})
	require.ErrorContains(t, err, "it has been at v1 from the beginning")

	// A renamed model keeps its own.
	require.NoError(t, b.Approve(ctx, "fraud", 2, "ann", ""))
	require.NoError(t, b.UpdateModel(ctx, "fraud", registry.ModelUpdate{Rename: "fraud eu", By: "ann", Reason: "fraud us comes"}))
	_, err = b.Promote(ctx, "fraud eu", "champion", 2, opts)
	require.NoError(t, err)
	e, err := b.Rollback(ctx, "fraud eu", "champion", &registry.RollbackOptions{By: "ann"})
	require.NoError(t, err)
	require.Equal(t, 1, e.To)
	make2("fraud")
	_, err = b.Promote(ctx, "fraud", "champion", 2, opts)
	require.ErrorContains(t, err, "approvals (1): 0 of 1")
	_, err = b.VerifyAudit(ctx)
	require.NoError(t, err)

	// As a server of MLflow's API deletes: the name is free at once.
	require.NoError(t, b.UpdateModel(ctx, "fraud", registry.ModelUpdate{Deleted: &yes, Rename: "fraud~deleted-1"}))
	make2("fraud")
	_, err = b.Promote(ctx, "fraud", "champion", 1, opts)
	require.ErrorContains(t, err, "approvals (1): 0 of 1")
	_, err = b.VerifyAudit(ctx)
	require.NoError(t, err)
}

func TestApprove(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	_, err := b.store.CreateVersion(ctx, &registry.Version{Name: "fraud", Created: time.Unix(0, 0).UTC(), Status: registry.Pending}, "")
	require.NoError(t, err)
	err = b.Approve(ctx, "fraud", 1, "a\x00b", strings.Repeat("x", 8001))
	require.ErrorIs(t, err, registry.ErrInvalid)
	for _, want := range []string{"By holds invalid UTF-8 or a NUL", "Reason has 8001 bytes", "not ready (PENDING_REGISTRATION)"} {
		require.ErrorContains(t, err, want)
	}
	require.ErrorIs(t, b.Approve(ctx, "fraud", 2, "ann", ""), registry.ErrNotFound)
}

// A promotion whose answer was lost is done again, and finds itself done.
func TestPromoteAgain(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	_, err := b.Register(ctx, "fraud", challenger(0.7))
	require.NoError(t, err)
	opts := &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{
		registry.MetricBeats(registry.Comparison{Metric: "auc", Dataset: flights("d2"), Margin: 0.01}),
	}}
	for n := range 2 {
		d, err := b.Promote(ctx, "fraud", "champion", 1, opts)
		require.NoError(t, err)
		require.Equal(t, n, d.From)
		require.True(t, d.Passed())
	}
	head, err := b.VerifyAudit(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, head.Seq)
}

func FuzzReadGolden(f *testing.F) {
	good, _ := registry.EncodeGolden([]registry.Golden{{Input: json.RawMessage(`[1]`), Output: json.RawMessage(`null`)}})
	f.Add(good)
	f.Add([]byte(`{"format":1,"cases":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		cases, err := registry.ReadGolden(fstest.MapFS{"g": {Data: b}}, "g")
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		again, err := registry.EncodeGolden(cases)
		require.NoError(t, err)
		_, err = registry.ReadGolden(fstest.MapFS{"g": {Data: again}}, "g")
		require.NoError(t, err)
	})
}
