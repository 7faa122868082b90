package registrytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// testSameAsModel runs random operations on the store and on Mem: each must
// answer as the other does, error kinds included.
func testSameAsModel(t *testing.T, h Harness) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			stores := handles(t, h)
			r := &randomRun{rng: rand.New(rand.NewPCG(seed, 1)), model: new(Mem)}
			for step := range 300 {
				got, want := r.step(t.Context(), stores[r.rng.IntN(2)], step)
				require.Equal(t, want, got, "step %d", step)
			}
		})
	}
}

type randomRun struct {
	rng   *rand.Rand
	model *Mem
}

// answer is what an operation returned, in a form that compares.
type answer struct {
	op    string
	value any
	kind  string
}

func answerOf(op string, value any, err error) answer {
	for _, kind := range []error{registry.ErrNotFound, registry.ErrConflict, registry.ErrExists, registry.ErrInvalid} {
		if errors.Is(err, kind) {
			return answer{op: op, kind: kind.Error()}
		}
	}
	if err != nil {
		return answer{op: op, kind: "unexpected: " + err.Error()}
	}
	return answer{op: op, value: value}
}

func (r *randomRun) name() string  { return [...]string{"fraud", "churn", "Fraud"}[r.rng.IntN(3)] }
func (r *randomRun) alias() string { return [...]string{"champion", "shadow", "a_b"}[r.rng.IntN(3)] }

// step does one operation on both and returns both answers.
func (r *randomRun) step(ctx context.Context, s registry.Store, step int) (got, want answer) {
	name, alias, limit := r.name(), r.alias(), 1+r.rng.IntN(4)
	n := 1 + r.rng.IntN(8)
	flag := r.rng.IntN(2) == 0
	both := func(op string, f func(s registry.Store) (any, error)) (answer, answer) {
		v, err := f(s)
		w, wantErr := f(r.model)
		return answerOf(op, v, err), answerOf(op, w, wantErr)
	}
	pick := func(list ...string) string { return list[r.rng.IntN(len(list))] }
	tags := map[string]string{pick("team", "a", registry.PromptTag): pick("true", "x", "")}
	switch r.rng.IntN(13) {
	case 0, 1:
		v := full(name, r.rng.IntN(6))
		if flag {
			v = bare(name, step)
		}
		v.Created, v.Updated = at(step), at(step)
		return both("create", func(s registry.Store) (any, error) { return s.CreateVersion(ctx, v, "") })
	case 2:
		return both("version", func(s registry.Store) (any, error) { return s.Version(ctx, name, n) })
	case 3:
		q := registry.VersionQuery{
			Name: pick("", name), View: registry.View(pick("", "deleted", "all")), Page: registry.Page{Max: limit},
			Filter:  pick("", "version_number > 2", "tags.team = 'x'", "name LIKE 'f%' AND version_number <= 4", "name LIKE '%rau%'", "name ILIKE '%HUR_'", "tags.team = 'x' AND name LIKE 'c%'", "run_id = 'run-1'", "tags.a IS NULL", "bad >"),
			OrderBy: [][]string{nil, {"version_number DESC"}, {"name DESC", "version_number"}, {"creation_timestamp"}}[r.rng.IntN(4)],
			Brief:   flag,
		}
		return both("search versions", func(s registry.Store) (any, error) { list, err := allVersions(ctx, s, q); return orNil(list), err })
	case 4:
		q := registry.ModelQuery{
			Name: pick("", "", name), View: registry.View(pick("", "deleted", "all")), Page: registry.Page{Max: limit},
			Filter:  pick("", "name ILIKE 'FR%'", "name LIKE '%aud%'", "name ILIKE '%F_aud%'", "name LIKE '%ren%' AND tags.team = 'x'", "tags.team = 'x'", "tags.`mlflow.prompt.is_prompt` != 'true'", "tags.team IS NOT NULL"),
			OrderBy: [][]string{nil, {"name DESC"}, {"last_updated_timestamp DESC"}}[r.rng.IntN(3)],
			Latest:  flag,
		}
		return both("search models", func(s registry.Store) (any, error) { list, err := allModels(ctx, s, q); return orNil(list), err })
	case 5:
		after, exact := pick("", "a_b", "champion", "zzz"), pick("", alias)
		return both("aliases", func(s registry.Store) (any, error) {
			page, err := s.Aliases(ctx, name, exact, after, limit)
			return orNil(page), err
		})
	case 6:
		q := registry.AuditQuery{Name: pick("", name), Alias: pick("", alias), From: int64(r.rng.IntN(step + 1)), Backward: flag, Limit: limit}
		return both("audit", func(s registry.Store) (any, error) { page, err := s.Audit(ctx, q); return orNil(page), err })
	case 7:
		u := registry.ModelUpdate{SetTags: tags, Time: at(step), By: "random"}
		switch r.rng.IntN(6) {
		case 0, 1:
			u.Deleted = &flag
		case 2:
			u.Rename = r.name()
		case 3:
			u.DeleteTags = []string{pick("team", "a")}
		}
		return both("update model", func(s registry.Store) (any, error) { return nil, s.UpdateModel(ctx, name, u) })
	case 8, 9:
		u := registry.VersionUpdate{SetTags: tags, Time: at(step), By: "random", ArchiveOthers: flag}
		switch r.rng.IntN(5) {
		case 0:
			u.Deleted = &flag
		case 1:
			u.Stage = pick(registry.StageNone, registry.StageProduction, registry.StageArchived)
		case 2:
			u.DeleteTags = []string{pick("team", "a")}
		case 3:
			u.Description = &alias
		}
		return both("update version", func(s registry.Store) (any, error) { return nil, s.UpdateVersion(ctx, name, n, u) })
	case 10:
		m := registry.Model{Name: pick(name, "new"), Tags: tags, Created: at(step)}
		return both("create model", func(s registry.Store) (any, error) { return s.CreateModel(ctx, m) })
	}
	kind := registry.Kind(pick(string(registry.KindAlias), string(registry.KindPromotion), string(registry.KindApproval)))
	e := registry.Entry{Kind: kind, Name: name, Alias: alias, Time: at(step), To: n - 1, By: "random", Evidence: json.RawMessage(fmt.Sprintf(`{"step":%d}`, step))}
	expect := -1 + r.rng.IntN(6)
	if flag {
		// Half of the moves expect the truth, so that many succeed.
		a, _ := aliasOf(ctx, r.model, name, alias)
		expect = a.Number
	}
	return both("record", func(s registry.Store) (any, error) { return s.Record(ctx, e, expect) })
}

// orNil makes an empty page equal to a nil one.
func orNil[T any](page []T) []T {
	if len(page) == 0 {
		return nil
	}
	return page
}
