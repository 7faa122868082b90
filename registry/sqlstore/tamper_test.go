package sqlstore_test

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// victim is a registry in files that somebody else may write.
type victim struct {
	*registry.Registry
	dir  string // of the objects
	raw  *sql.DB
	head registry.AuditHead
}

// newVictim has three versions, a history of promotions, and a second model.
func newVictim(t *testing.T) *victim {
	t.Helper()
	ctx, url := t.Context(), freshURL(t)
	v := &victim{dir: filepath.Join(t.TempDir(), "files")}
	var end func() error
	var err error
	v.Registry, end, err = openRegistry(ctx, url, v.dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, end()) })
	for n := 1; n <= 3; n++ {
		_, err := v.Register(ctx, "fraud", registry.Draft{
			Files:   fstest.MapFS{"a/model": {Data: fmt.Appendf(nil, "model %d", n)}, "tokens": {Data: []byte("shared")}},
			Metrics: map[string]float64{"auc": 0.7},
		})
		require.NoError(t, err)
		require.NoError(t, v.Approve(ctx, "fraud", n, "ann", "looked at it"))
		_, err = v.Promote(ctx, "fraud", "champion", n, &registry.PromoteOptions{By: "ci", Reason: "weekly", Gates: []registry.Gate{registry.MetricAtLeast("auc", 0.6)}})
		require.NoError(t, err)
	}
	_, err = v.Rollback(ctx, "fraud", "champion", &registry.RollbackOptions{By: "ann", Reason: "slow"})
	require.NoError(t, err)
	_, err = v.Register(ctx, "churn", registry.Draft{Files: fstest.MapFS{"m": {Data: []byte("churn")}}})
	require.NoError(t, err)
	require.NoError(t, v.SetAlias(ctx, "churn", "champion", 1, nil))
	p, _ := startProcess(t, url)
	v.raw = sql.OpenDB(p)
	t.Cleanup(func() { require.NoError(t, v.raw.Close()) })
	_, err = v.raw.ExecContext(ctx, `PRAGMA foreign_keys = 0`)
	require.NoError(t, err)
	v.raw.SetMaxOpenConns(1)
	v.head, err = v.VerifyAudit(ctx)
	require.NoError(t, err)
	return v
}

func (v *victim) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	_, err := v.raw.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// readAll reads every file of a version as a server would.
func (v *victim) readAll(t *testing.T, ref string) error {
	t.Helper()
	version, err := v.Resolve(t.Context(), ref)
	if err != nil {
		return err
	}
	fsys, err := v.Open(t.Context(), version)
	if err != nil {
		return err
	}
	for _, f := range version.Files {
		if _, err := fs.ReadFile(fsys, f.Path); err != nil {
			return err
		}
	}
	return nil
}

// flips yields s with each of its bytes changed, and shorter and longer.
func flips(s string) (out []string) {
	for i := range s {
		b := []byte(s)
		b[i] ^= 1
		out = append(out, string(b))
	}
	return append(out, s[:max(0, len(s)-1)], s+"x")
}

func TestEveryByteOfAFileCounts(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	version, err := v.Version(t.Context(), "fraud", 2)
	require.NoError(t, err)
	tried := 0
	for _, f := range version.Files {
		path := filepath.Join(v.dir, "sha256", f.SHA256[:2], f.SHA256)
		good, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(path, 0o600))
		for _, bad := range flips(string(good)) {
			require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
			var damaged *registry.DigestError
			require.ErrorAs(t, v.readAll(t, "fraud/2"), &damaged, "%q", bad)
			tried++
		}
		require.NoError(t, os.WriteFile(path, good, 0o600))
		require.NoError(t, v.readAll(t, "fraud/2"))

		// A link to the very bytes elsewhere is harmless, one to others not.
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		require.NoError(t, os.WriteFile(elsewhere, []byte("stolen"), 0o600))
		require.NoError(t, os.Remove(path))
		if os.Symlink(elsewhere, path) == nil {
			require.Error(t, v.readAll(t, "fraud/2"))
			require.NoError(t, os.Remove(path))
		}
		require.NoError(t, os.WriteFile(path, good, 0o600))
	}
	t.Logf("%d changes", tried)
}

func TestEveryByteOfAManifestCounts(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	tried := 0
	for _, column := range []string{"manifest", "digest"} {
		var good string
		require.NoError(t, v.raw.QueryRowContext(t.Context(), `SELECT `+column+` FROM mw_reg_versions WHERE name = 'fraud' AND number = 2`).Scan(&good))
		for _, bad := range flips(good) {
			v.exec(t, `UPDATE mw_reg_versions SET `+column+` = ? WHERE name = 'fraud' AND number = 2`, bad)
			require.Error(t, v.readAll(t, "fraud/2"), "%q", bad)
			require.Error(t, v.readAll(t, "fraud@champion"))
			tried++
		}
		v.exec(t, `UPDATE mw_reg_versions SET `+column+` = ? WHERE name = 'fraud' AND number = 2`, good)
		require.NoError(t, v.readAll(t, "fraud@champion"))
	}
	t.Logf("%d changes", tried)

	// Whoever changes both, and the files with them, makes a version that is
	// whole in itself: the log of its promotion tells, and a signature would.
	v.exec(t, `UPDATE mw_reg_versions SET manifest = (SELECT manifest FROM mw_reg_versions WHERE name = 'churn'),
		digest = (SELECT digest FROM mw_reg_versions WHERE name = 'churn') WHERE name = 'fraud' AND number = 2`)
	require.NoError(t, v.readAll(t, "fraud/2"))
	_, err := v.VerifyAudit(t.Context(), v.head)
	require.ErrorIs(t, err, registry.ErrInvalid)
	require.ErrorContains(t, err, `v2 of "fraud" has other files than those that were judged: the store was altered past its log`)
}

func TestEveryByteOfTheAuditLogCounts(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	ctx := t.Context()
	refused := func(t *testing.T, what string, args ...any) {
		t.Helper()
		_, err := v.VerifyAudit(ctx, v.head)
		var altered *registry.AuditError
		require.ErrorAs(t, err, &altered, what, args)
	}
	type row struct {
		seq, model, time, from, to                          int64
		kind, name, alias, by, reason, evidence, prev, hash string
	}
	rows, err := v.raw.QueryContext(ctx, `SELECT seq, model_id, time_us, from_number, to_number, kind, name, alias, made_by, reason, COALESCE(evidence, ''), prev, hash FROM mw_reg_audit ORDER BY seq`)
	require.NoError(t, err)
	defer rows.Close()
	var log []row
	for rows.Next() {
		var r row
		require.NoError(t, rows.Scan(&r.seq, &r.model, &r.time, &r.from, &r.to, &r.kind, &r.name, &r.alias, &r.by, &r.reason, &r.evidence, &r.prev, &r.hash))
		log = append(log, r)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	require.Len(t, log, 8)
	tried := 0
	for _, r := range log {
		try := func(column string, good, bad any) {
			t.Helper()
			v.exec(t, `UPDATE mw_reg_audit SET `+column+` = ? WHERE seq = ?`, bad, r.seq)
			refused(t, "entry %d: %s = %v", r.seq, column, bad)
			v.exec(t, `UPDATE mw_reg_audit SET `+column+` = ? WHERE seq = ?`, good, r.seq)
			tried++
		}
		for column, good := range map[string]string{"kind": r.kind, "name": r.name, "alias": r.alias, "made_by": r.by, "reason": r.reason, "prev": r.prev, "hash": r.hash} {
			for _, bad := range flips(good) {
				if bad != good {
					try(column, good, bad)
				}
			}
		}
		if r.evidence != "" {
			for _, bad := range flips(r.evidence) {
				try("evidence", r.evidence, bad)
			}
			try("evidence", r.evidence, nil)
		}
		for column, good := range map[string]int64{"time_us": r.time, "from_number": r.from, "to_number": r.to, "model_id": r.model} {
			for bit := range 3 {
				try(column, good, good^(1<<bit))
			}
		}
		v.exec(t, `UPDATE mw_reg_audit SET seq = 100 WHERE seq = ?`, r.seq)
		refused(t, "entry %d renumbered", r.seq)
		v.exec(t, `UPDATE mw_reg_audit SET seq = ? WHERE seq = 100`, r.seq)
		_, err := v.VerifyAudit(ctx, v.head)
		require.NoError(t, err, "all is restored")
	}
	t.Logf("%d changes", tried)
}

// What the log tells about has to be so: whoever changes the store behind its
// back is found out by the same check.
func TestTheStoreCannotMoveBehindItsLog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ query, want string }{
		"alias moved":     {`UPDATE mw_reg_aliases SET number = 3 WHERE model_id = 1`, `entry 7: alias "champion" of "fraud" is at v3, the log says v2: the store was altered past its log`},
		"alias added":     {`INSERT INTO mw_reg_aliases (model_id, alias, number, moved_us) VALUES (1, 'shadow', 1, 0)`, `entry 0: alias "shadow" of "fraud" is at v1, the log says there is none: the store was altered past its log`},
		"alias removed":   {`DELETE FROM mw_reg_aliases WHERE model_id = 1`, `entry 7: alias "champion" of "fraud" is gone, the log says v2: the store was altered past its log`},
		"model hidden":    {`UPDATE mw_reg_models SET deleted_us = 1 WHERE id = 1`, `entry 7: model "fraud" was deleted or restored since: the store was altered past its log`},
		"model renamed":   {`UPDATE mw_reg_models SET name = 'clean' WHERE id = 1`, `alias "champion" of "clean" is at v2, the log says there is none: the store was altered past its log`},
		"model removed":   {`DELETE FROM mw_reg_models WHERE id = 1`, `entry 7: model "fraud", which it is about, is gone: the store was altered past its log`},
		"head forged":     {`UPDATE mw_reg_audit SET hash = 'x' WHERE seq = 8`, `entry 8: its content does not match its hash: the log was altered`},
		"end cut off":     {`DELETE FROM mw_reg_audit WHERE seq > 6`, `entry 7: it is missing, entry 8 was known: the log was altered`},
		"beginning lost":  {`DELETE FROM mw_reg_audit WHERE seq < 3`, `entry 1: it is missing, the next is 3: the log was altered`},
		"entry hidden":    {`UPDATE mw_reg_audit SET model_id = 2 WHERE seq = 6`, `entry 6: it is missing in the history of "fraud": the store was altered past its log`},
		"version removed": {`DELETE FROM mw_reg_versions WHERE model_id = 1 AND number = 3`, `v3 of "fraud", which it is about, is gone: the store was altered past its log`},
		"names exchanged": {`UPDATE mw_reg_audit SET name = CASE name WHEN 'fraud' THEN 'churn' ELSE 'fraud' END`, `entry 1: its content does not match its hash`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			v.exec(t, c.query)
			_, err := v.VerifyAudit(t.Context(), v.head)
			require.ErrorIs(t, err, registry.ErrInvalid)
			require.ErrorContains(t, err, c.want)
		})
	}
}
