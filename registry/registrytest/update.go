package registrytest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func testModels(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	given := registry.Model{Name: "fraud", Description: "d", Tags: map[string]string{"team": "risk", "empty": ""}, Created: at(1)}
	want := given
	want.Updated = at(1)
	got, err := s.CreateModel(ctx, given)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = s.CreateModel(ctx, given)
	require.ErrorIs(t, err, registry.ErrExists)

	model := func(name string, view registry.View) registry.Model {
		t.Helper()
		list, err := allModels(ctx, s, registry.ModelQuery{Name: name, View: view})
		require.NoError(t, err)
		require.Len(t, list, 1)
		return list[0]
	}
	text := "other"
	require.NoError(t, s.UpdateModel(ctx, "fraud", registry.ModelUpdate{
		Description: &text, SetTags: map[string]string{"team": "ops", "new": "1"}, DeleteTags: []string{"empty"}, Time: at(2),
	}))
	want.Description, want.Tags, want.Updated = "other", map[string]string{"team": "ops", "new": "1"}, at(2)
	require.Equal(t, want, model("fraud", registry.ActiveOnly))

	// All or nothing, and nothing of what is not there.
	err = s.UpdateModel(ctx, "fraud", registry.ModelUpdate{SetTags: map[string]string{"x": "y"}, DeleteTags: []string{"absent"}, Time: at(3)})
	require.ErrorIs(t, err, registry.ErrNotFound)
	require.Equal(t, want, model("fraud", registry.ActiveOnly))
	require.ErrorIs(t, s.UpdateModel(ctx, "unknown", registry.ModelUpdate{Time: at(3)}), registry.ErrNotFound)

	// A rename takes versions, aliases and history along.
	_, err = s.CreateVersion(ctx, bare("fraud", 4), "")
	require.NoError(t, err)
	_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", To: 1, Time: at(5)}, 0)
	require.NoError(t, err)
	_, err = s.CreateModel(ctx, registry.Model{Name: "taken", Created: at(5)})
	require.NoError(t, err)
	require.ErrorIs(t, s.UpdateModel(ctx, "fraud", registry.ModelUpdate{Rename: "taken", Time: at(6)}), registry.ErrExists)
	require.NoError(t, s.UpdateModel(ctx, "fraud", registry.ModelUpdate{Rename: "fraud 2", By: "ann", Time: at(6)}))
	want.Name, want.Updated, want.Latest = "fraud 2", at(6), 1
	want.Aliases = []registry.Alias{{Alias: "champion", Number: 1, Moved: at(5)}}
	require.Equal(t, want, model("fraud 2", registry.ActiveOnly))
	v, err := s.Version(ctx, "fraud 2", 1)
	require.NoError(t, err)
	require.Equal(t, "fraud 2", v.Name)
	_, err = s.Version(ctx, "fraud", 1)
	require.ErrorIs(t, err, registry.ErrNotFound)
	log, err := s.Audit(ctx, registry.AuditQuery{Name: "fraud 2", Limit: 10})
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, []string{"fraud", "fraud 2"}, []string{log[0].Name, log[1].Name})
	require.Equal(t, registry.KindRename, log[1].Kind)
	require.Equal(t, `{"renamed_from":"fraud"}`, string(log[1].Evidence))

	// Deleted and restored.
	yes, no := true, false
	require.NoError(t, s.UpdateModel(ctx, "fraud 2", registry.ModelUpdate{Deleted: &yes, Time: at(7)}))
	_, err = s.Version(ctx, "fraud 2", 1)
	require.ErrorIs(t, err, registry.ErrNotFound)
	_, err = s.CreateVersion(ctx, bare("fraud 2", 8), "")
	require.ErrorIs(t, err, registry.ErrNotFound)
	_, err = aliasOf(ctx, s, "fraud 2", "champion")
	require.ErrorIs(t, err, registry.ErrNotFound)
	require.ErrorIs(t, s.UpdateModel(ctx, "fraud 2", registry.ModelUpdate{Description: &text, Time: at(8)}), registry.ErrNotFound)
	_, err = s.CreateModel(ctx, registry.Model{Name: "fraud 2", Created: at(8)})
	require.ErrorIs(t, err, registry.ErrExists)
	list, err := allModels(ctx, s, registry.ModelQuery{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	versions, err := allVersions(ctx, s, registry.VersionQuery{})
	require.NoError(t, err)
	require.Empty(t, versions)
	gone := model("fraud 2", registry.DeletedOnly)
	require.True(t, gone.Deleted)
	require.Equal(t, at(7), gone.DeletedAt)
	require.NoError(t, s.UpdateModel(ctx, "fraud 2", registry.ModelUpdate{Deleted: &no, Time: at(9)}))
	want.Updated = at(9)
	require.Equal(t, want, model("fraud 2", registry.All))
}

func testUpdateVersion(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	want, err := s.CreateVersion(ctx, full("fraud", 1), "")
	require.NoError(t, err)
	text, sign := "other", registry.Envelope{PayloadType: "p", Payload: []byte{0, 1}, Signatures: []registry.KeySignature{{KeyID: "k", Sig: []byte{2}}}}
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 1, registry.VersionUpdate{
		Description: &text, SetTags: map[string]string{"new": "é"}, DeleteTags: []string{"empty", "odd"}, Sign: &sign, Time: at(2),
	}))
	want.Description, want.Tags, want.Signed, want.Updated = text, map[string]string{"team": "risk", "new": "é"}, []registry.Envelope{sign}, at(2)
	got, err := s.Version(ctx, "fraud", 1)
	require.NoError(t, err)
	require.Equal(t, want, got)
	err = s.UpdateVersion(ctx, "fraud", 1, registry.VersionUpdate{SetTags: map[string]string{"x": "y"}, DeleteTags: []string{"absent"}, Time: at(3)})
	require.ErrorIs(t, err, registry.ErrNotFound)
	got, err = s.Version(ctx, "fraud", 1)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.ErrorIs(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Time: at(3)}), registry.ErrNotFound)
	require.ErrorIs(t, s.UpdateVersion(ctx, "unknown", 1, registry.VersionUpdate{Time: at(3)}), registry.ErrNotFound)

	// A pending version ends once.
	pending := bare("fraud", 4)
	files, digest := pending.Files, pending.Digest
	pending.Status, pending.Files, pending.Digest = registry.Pending, nil, ""
	_, err = s.CreateVersion(ctx, pending, "")
	require.NoError(t, err)
	end := registry.VersionUpdate{Status: registry.Ready, StatusMessage: "copied", Files: files, Digest: digest, Time: at(5)}
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 2, end))
	got, err = s.Version(ctx, "fraud", 2)
	require.NoError(t, err)
	require.Equal(t, []any{registry.Ready, "copied", files, digest}, []any{got.Status, got.StatusMessage, got.Files, got.Digest})
	require.ErrorIs(t, s.UpdateVersion(ctx, "fraud", 2, end), registry.ErrConflict)
}

func testStages(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i := range 3 {
		_, err := s.CreateVersion(ctx, bare("fraud", i), "")
		require.NoError(t, err)
	}
	stages := func() (out []string) {
		for n := 1; n <= 3; n++ {
			v, err := s.Version(ctx, "fraud", n)
			require.NoError(t, err)
			out = append(out, v.Stage)
		}
		return out
	}
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 1, registry.VersionUpdate{Stage: registry.StageProduction, Time: at(5)}))
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Stage: registry.StageProduction, Time: at(6)}))
	require.Equal(t, []string{"Production", "Production", "None"}, stages())
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 3, registry.VersionUpdate{Stage: registry.StageProduction, ArchiveOthers: true, By: "ann", Time: at(7)}))
	require.Equal(t, []string{"Archived", "Archived", "Production"}, stages())
	log, err := s.Audit(ctx, registry.AuditQuery{Kind: registry.KindStage, Limit: 10})
	require.NoError(t, err)
	require.Len(t, log, 5)
	require.Equal(t, []int{1, 2, 1, 2, 3}, []int{log[0].To, log[1].To, log[2].To, log[3].To, log[4].To})
	require.Equal(t, "None to Production", log[4].Reason)
	// Where it is already is no move.
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 3, registry.VersionUpdate{Stage: registry.StageProduction, Time: at(8)}))
	again, err := s.Audit(ctx, registry.AuditQuery{Limit: 10})
	require.NoError(t, err)
	require.Len(t, again, 5)
}

func testDeleteVersion(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i := range 2 {
		_, err := s.CreateVersion(ctx, bare("fraud", i), "")
		require.NoError(t, err)
	}
	for i, alias := range []string{"shadow", "champion"} {
		_, err := s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: alias, To: 2, Time: at(i)}, 0)
		require.NoError(t, err)
	}
	yes, no := true, false
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Deleted: &yes, By: "ann", Time: at(4)}))
	v, err := s.Version(ctx, "fraud", 2)
	require.NoError(t, err)
	require.True(t, v.Deleted)
	require.Equal(t, at(4), v.DeletedAt)
	require.Empty(t, v.Aliases)
	list, err := s.Aliases(ctx, "fraud", "", "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
	log, err := s.Audit(ctx, registry.AuditQuery{From: 3, Limit: 10})
	require.NoError(t, err)
	require.Len(t, log, 3)
	require.Equal(t, []string{"champion", "shadow", ""}, []string{log[0].Alias, log[1].Alias, log[2].Alias})
	require.Equal(t, []int{2, 0}, []int{log[0].From, log[0].To})
	require.Equal(t, registry.KindDelete, log[2].Kind)
	_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", To: 2, Time: at(5)}, -1)
	require.ErrorIs(t, err, registry.ErrNotFound)
	text := "x"
	require.ErrorIs(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Description: &text, Time: at(5)}), registry.ErrNotFound)

	active, err := allVersions(ctx, s, registry.VersionQuery{Name: "fraud"})
	require.NoError(t, err)
	require.Len(t, active, 1)
	deleted, err := allVersions(ctx, s, registry.VersionQuery{Name: "fraud", View: registry.DeletedOnly})
	require.NoError(t, err)
	require.Len(t, deleted, 1)

	// Its number is not used again, and it comes back by it.
	third, err := s.CreateVersion(ctx, bare("fraud", 6), "")
	require.NoError(t, err)
	require.Equal(t, 3, third.Number)
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Deleted: &no, Time: at(7)}))
	v, err = s.Version(ctx, "fraud", 2)
	require.NoError(t, err)
	require.False(t, v.Deleted)
	require.Empty(t, v.Aliases)
}
