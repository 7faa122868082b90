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
		_, err := s.CreateVersion(ctx, bare("fraud", i), "")
		require.NoError(t, err)
	}
	_, err := s.CreateVersion(ctx, bare("churn", 1), "")
	require.NoError(t, err)

	// The script runs in order; have is where the alias is after the step.
	last, prev := int64(0), registry.Entry{}
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
		moved, err := s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", Time: at(i), To: step.to}, step.expect)
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
			prev = registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", Time: at(i), From: step.from, To: step.to}.Seal(prev)
			require.Equal(t, prev, moved)
		} else if err == nil {
			require.Zero(t, moved.Seq, step.what)
		}
		a, err := aliasOf(ctx, s, "fraud", "champion")
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
	_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "churn", Alias: "champion", Time: at(1), To: 1}, 0)
	require.NoError(t, err)
	_, err = aliasOf(ctx, s, "fraud", "champion")
	require.ErrorIs(t, err, registry.ErrNotFound)
	_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "unknown", Alias: "champion", Time: at(1), To: 1}, 0)
	require.ErrorIs(t, err, registry.ErrNotFound)
	moved, err := s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "unknown", Alias: "champion", Time: at(1)}, -1)
	require.NoError(t, err)
	require.Zero(t, moved.Seq)
	list, err := s.Aliases(ctx, "unknown", "", "", 5)
	require.NoError(t, err)
	require.Empty(t, list)

	// Several aliases at one version come sorted.
	for _, alias := range []string{"shadow", "Blue", "a-b", "a_b"} {
		_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "churn", Alias: alias, Time: at(2), To: 1}, 0)
		require.NoError(t, err)
	}
	v, err := s.Version(ctx, "churn", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"Blue", "a-b", "a_b", "champion", "shadow"}, v.Aliases)
}

func testHistory(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i := range 2 {
		_, err := s.CreateVersion(ctx, bare("fraud", i), "")
		require.NoError(t, err)
		_, err = s.CreateVersion(ctx, bare("churn", i), "")
		require.NoError(t, err)
	}
	var want []registry.Entry // oldest first
	for i, e := range []registry.Entry{
		{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", To: 1, By: "ann", Reason: "first", Evidence: json.RawMessage(`{"auc":0.9}`)},
		{Kind: registry.KindPromotion, Name: "churn", Alias: "champion", To: 2},
		{Kind: registry.KindAlias, Name: "fraud", Alias: "shadow", To: 2, By: "bob"},
		{Kind: registry.KindPromotion, Name: "fraud", Alias: "champion", To: 2, Reason: "drift's \"end\"\n"},
		{Kind: registry.KindRefusal, Name: "fraud", Alias: "champion", From: 2, To: 1, Evidence: json.RawMessage(`[]`)},
		{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", To: 0, By: "carol", Reason: "withdrawn"},
		{Kind: registry.KindApproval, Name: "fraud", To: 1, By: "dave"},
	} {
		e.Time = at(i)
		got, err := s.Record(ctx, e, -1)
		require.NoError(t, err)
		prev := registry.Entry{}
		if i > 0 {
			prev = want[i-1]
		}
		if e.Kind.Moves() {
			e.From = got.From
		}
		require.Equal(t, e.Seal(prev), got, "the chain of %d", i)
		want = append(want, got)
	}
	require.Equal(t, []int{0, 0, 0, 1, 2, 2, 0}, []int{want[0].From, want[1].From, want[2].From, want[3].From, want[4].From, want[5].From, want[6].From})
	_, err := s.Record(ctx, registry.Entry{Kind: registry.KindApproval, Name: "unknown", To: 1, Time: at(9)}, -1)
	require.ErrorIs(t, err, registry.ErrNotFound)

	pick := func(keep ...int) []registry.Entry {
		var out []registry.Entry
		for _, i := range keep {
			out = append(out, want[i])
		}
		return out
	}
	for i, c := range []struct {
		q    registry.AuditQuery
		want []registry.Entry
	}{
		{registry.AuditQuery{Limit: 10}, pick(0, 1, 2, 3, 4, 5, 6)},
		{registry.AuditQuery{Limit: 2, From: 3}, pick(2, 3)},
		{registry.AuditQuery{Limit: 10, Backward: true}, pick(6, 5, 4, 3, 2, 1, 0)},
		{registry.AuditQuery{Limit: 2, From: 3, Backward: true}, pick(2, 1)},
		{registry.AuditQuery{Limit: 10, From: 8}, nil},
		{registry.AuditQuery{Name: "fraud", Alias: "champion", Limit: 10, Backward: true}, pick(5, 4, 3, 0)},
		{registry.AuditQuery{Name: "fraud", Alias: "champion", Limit: 2, Backward: true}, pick(5, 4)},
		{registry.AuditQuery{Name: "fraud", Alias: "champion", Limit: 2, Backward: true, From: 4}, pick(3, 0)},
		{registry.AuditQuery{Name: "fraud", Limit: 10}, pick(0, 2, 3, 4, 5, 6)},
		{registry.AuditQuery{Name: "fraud", Alias: "shadow", Limit: 10}, pick(2)},
		{registry.AuditQuery{Name: "churn", Limit: 10}, pick(1)},
		{registry.AuditQuery{Name: "churn", Alias: "shadow", Limit: 10}, nil},
		{registry.AuditQuery{Name: "unknown", Limit: 10}, nil},
		{registry.AuditQuery{Kind: registry.KindApproval, Limit: 10}, pick(6)},
		{registry.AuditQuery{Name: "fraud", Kind: registry.KindRefusal, To: 1, Limit: 10}, pick(4)},
		{registry.AuditQuery{To: 2, Limit: 10}, pick(1, 2, 3)},
	} {
		got, err := s.Audit(ctx, c.q)
		require.NoError(t, err)
		if len(c.want) == 0 {
			require.Empty(t, got, "%d", i)
			continue
		}
		require.Equal(t, c.want, got, "%d", i)
	}
}
