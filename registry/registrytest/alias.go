package registrytest

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func testMoveAlias(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i := range 3 {
		_, err := s.CreateVersion(ctx, bare("fraud", i))
		require.NoError(t, err)
	}
	_, err := s.CreateVersion(ctx, bare("churn", 1))
	require.NoError(t, err)

	// The script runs in order; have is where the alias is after the step.
	last := int64(0)
	for i, step := range []struct {
		what       string
		to, expect int
		err        error
		moves      bool
		from, have int
	}{
		{"unknown version", 4, -1, registry.ErrNotFound, false, 0, 0},
		{"unknown version comes before a conflict", 4, 2, registry.ErrNotFound, false, 0, 0},
		{"set what is not there, expecting something", 1, 2, registry.ErrConflict, false, 0, 0},
		{"delete what is not there", 0, -1, nil, false, 0, 0},
		{"delete what is not there, expecting something", 0, 1, registry.ErrConflict, false, 0, 0},
		{"create", 1, 0, nil, true, 0, 1},
		{"create again", 2, 0, registry.ErrConflict, false, 1, 1},
		{"where it is already", 1, 1, nil, false, 1, 1},
		{"where it is already, but expected elsewhere", 1, 2, registry.ErrConflict, false, 1, 1},
		{"move", 2, 1, nil, true, 1, 2},
		{"move from anywhere", 3, -1, nil, true, 2, 3},
		{"stale move", 1, 2, registry.ErrConflict, false, 3, 3},
		{"stale delete", 0, 2, registry.ErrConflict, false, 3, 3},
		{"back", 1, 3, nil, true, 3, 1},
		{"delete", 0, 1, nil, true, 1, 0},
		{"create from anywhere", 2, -1, nil, true, 0, 2},
		{"delete from anywhere", 0, -1, nil, true, 2, 0},
	} {
		moved, err := s.MoveAlias(ctx, registry.Move{Name: "fraud", Alias: "champion", Time: at(i), To: step.to}, step.expect)
		if step.err != nil {
			require.ErrorIs(t, err, step.err, step.what)
		} else {
			require.NoError(t, err, step.what)
		}
		if step.err == nil || errors.Is(step.err, registry.ErrConflict) {
			require.Equal(t, step.from, moved.From, step.what)
		}
		if step.moves {
			require.Greater(t, moved.Seq, last, step.what)
			last = moved.Seq
			require.Equal(t, registry.Move{Seq: last, Name: "fraud", Alias: "champion", Time: at(i), From: step.from, To: step.to}, moved)
		} else if err == nil {
			require.Zero(t, moved.Seq, step.what)
		}
		a, err := s.Alias(ctx, "fraud", "champion")
		if step.have == 0 {
			require.ErrorIs(t, err, registry.ErrNotFound, step.what)
			continue
		}
		require.NoError(t, err, step.what)
		require.Equal(t, step.have, a.Number, step.what)
		if step.moves {
			require.Equal(t, at(i), a.Moved, step.what)
		}
		for n := 1; n <= 3; n++ {
			v, err := s.Version(ctx, "fraud", n)
			require.NoError(t, err)
			if n == step.have {
				require.Equal(t, []string{"champion"}, v.Aliases, step.what)
			} else {
				require.Empty(t, v.Aliases, step.what)
			}
		}
	}

	// Models do not see each other's aliases; an unknown model has none.
	_, err = s.MoveAlias(ctx, registry.Move{Name: "churn", Alias: "champion", Time: at(1), To: 1}, 0)
	require.NoError(t, err)
	_, err = s.Alias(ctx, "fraud", "champion")
	require.ErrorIs(t, err, registry.ErrNotFound)
	_, err = s.MoveAlias(ctx, registry.Move{Name: "unknown", Alias: "champion", Time: at(1), To: 1}, 0)
	require.ErrorIs(t, err, registry.ErrNotFound)
	moved, err := s.MoveAlias(ctx, registry.Move{Name: "unknown", Alias: "champion", Time: at(1)}, -1)
	require.NoError(t, err)
	require.Zero(t, moved.Seq)
	list, err := s.Aliases(ctx, "unknown", "", 5)
	require.NoError(t, err)
	require.Empty(t, list)

	// Several aliases at one version come sorted.
	for _, alias := range []string{"shadow", "Blue", "a-b", "a_b"} {
		_, err = s.MoveAlias(ctx, registry.Move{Name: "churn", Alias: alias, Time: at(2), To: 1}, 0)
		require.NoError(t, err)
	}
	v, err := s.Version(ctx, "churn", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"Blue", "a-b", "a_b", "champion", "shadow"}, v.Aliases)
}

func testHistory(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i := range 2 {
		_, err := s.CreateVersion(ctx, bare("fraud", i))
		require.NoError(t, err)
		_, err = s.CreateVersion(ctx, bare("churn", i))
		require.NoError(t, err)
	}
	var want []registry.Move // latest first
	for i, m := range []registry.Move{
		{Name: "fraud", Alias: "champion", To: 1, By: "ann", Reason: "first", Evidence: json.RawMessage(`{"auc":0.9}`)},
		{Name: "churn", Alias: "champion", To: 2},
		{Name: "fraud", Alias: "shadow", To: 2, By: "bob"},
		{Name: "fraud", Alias: "champion", To: 2, Reason: "drift's \"end\"\n"},
		{Name: "fraud", Alias: "champion", To: 0, By: "carol", Reason: "withdrawn"},
	} {
		m.Time = at(i)
		moved, err := s.MoveAlias(ctx, m, -1)
		require.NoError(t, err)
		m.Seq, m.From = moved.Seq, moved.From
		require.Equal(t, m, moved)
		want = append([]registry.Move{m}, want...)
	}
	require.Equal(t, []int{2, 1, 0, 0, 0}, []int{want[0].From, want[1].From, want[2].From, want[3].From, want[4].From})

	pick := func(keep ...int) []registry.Move {
		var out []registry.Move
		for _, i := range keep {
			out = append(out, want[i])
		}
		return out
	}
	for _, c := range []struct {
		name, alias string
		before      int64
		limit       int
		want        []registry.Move
	}{
		{"fraud", "champion", 0, 10, pick(0, 1, 4)},
		{"fraud", "champion", 0, 2, pick(0, 1)},
		{"fraud", "champion", want[1].Seq, 2, pick(4)},
		{"fraud", "", 0, 10, pick(0, 1, 2, 4)},
		{"fraud", "", want[1].Seq, 1, pick(2)},
		{"fraud", "shadow", 0, 10, pick(2)},
		{"churn", "champion", 0, 10, pick(3)},
		{"churn", "shadow", 0, 10, nil},
		{"unknown", "", 0, 10, nil},
	} {
		got, err := s.History(ctx, c.name, c.alias, c.before, c.limit)
		require.NoError(t, err)
		if len(c.want) == 0 {
			require.Empty(t, got)
			continue
		}
		require.Equal(t, c.want, got)
	}
}
