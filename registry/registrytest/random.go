package registrytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	// The sequence numbers of the moves, in the store and in the model: they
	// need not be equal, only in the same order.
	seqs, modelSeqs []int64
}

// answer is what an operation returned, in a form that compares.
type answer struct {
	op    string
	value any
	kind  string
}

func answerOf(op string, value any, err error) answer {
	for _, kind := range []error{registry.ErrNotFound, registry.ErrConflict} {
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
	n := r.rng.IntN(12)
	both := func(op string, f func(s registry.Store, model bool) (any, error)) (answer, answer) {
		v, err := f(s, false)
		w, wantErr := f(r.model, true)
		return answerOf(op, v, err), answerOf(op, w, wantErr)
	}
	switch r.rng.IntN(10) {
	case 0, 1:
		v := full(name, r.rng.IntN(6))
		if r.rng.IntN(2) == 0 {
			v = bare(name, step)
		}
		return both("create", func(s registry.Store, _ bool) (any, error) { return s.CreateVersion(ctx, v) })
	case 2:
		return both("version", func(s registry.Store, _ bool) (any, error) { return s.Version(ctx, name, n) })
	case 3:
		return both("versions", func(s registry.Store, _ bool) (any, error) {
			page, err := s.Versions(ctx, name, n, limit)
			return orNil(page), err
		})
	case 4:
		after := [...]string{"", "Fraud", "churn", "d", "fraud"}[r.rng.IntN(5)]
		return both("models", func(s registry.Store, _ bool) (any, error) {
			page, err := s.Models(ctx, after, limit)
			return orNil(page), err
		})
	case 5:
		after := [...]string{"", "a_b", "champion", "zzz"}[r.rng.IntN(4)]
		return both("aliases", func(s registry.Store, _ bool) (any, error) {
			page, err := s.Aliases(ctx, name, after, limit)
			return orNil(page), err
		})
	case 6:
		return both("alias", func(s registry.Store, _ bool) (any, error) { return s.Alias(ctx, name, alias) })
	case 7:
		if r.rng.IntN(2) == 0 {
			alias = ""
		}
		before := r.rng.IntN(len(r.seqs) + 1)
		return both("history", func(s registry.Store, model bool) (any, error) {
			seqs := r.seqs
			if model {
				seqs = r.modelSeqs
			}
			from := int64(0)
			if before < len(seqs) {
				from = seqs[before]
			}
			page, err := s.History(ctx, name, alias, from, limit)
			for i := range page {
				page[i].Seq = int64(slices.Index(seqs, page[i].Seq))
			}
			return orNil(page), err
		})
	}
	m := registry.Move{Name: name, Alias: alias, Time: at(step), To: n % 6, By: "random", Evidence: json.RawMessage(fmt.Sprintf(`{"step":%d}`, step))}
	expect := -1 + r.rng.IntN(6)
	if r.rng.IntN(2) == 0 {
		// Half of the moves expect the truth, so that many succeed.
		a, _ := r.model.Alias(ctx, name, alias)
		expect = a.Number
	}
	return both("move", func(s registry.Store, model bool) (any, error) {
		moved, err := s.MoveAlias(ctx, m, expect)
		if err == nil && moved.Seq != 0 {
			seqs := &r.seqs
			if model {
				seqs = &r.modelSeqs
			}
			*seqs = append(*seqs, moved.Seq)
			moved.Seq = int64(len(*seqs))
		}
		if err != nil { // only where the alias is counts then
			return nil, err
		}
		return moved, nil
	})
}

// orNil makes an empty page equal to a nil one.
func orNil[T any](page []T) []T {
	if len(page) == 0 {
		return nil
	}
	return page
}
