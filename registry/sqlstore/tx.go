package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// channel is where PostgreSQL tells of new audit entries.
const channel = "mw_reg_audit"

// writing is a transaction that may append to the audit log. What it appends
// is written last: the head of the log is one row, which all writers lock, and
// who has it waits for nobody.
type writing struct {
	*sqldb.Tx
	entries []pending
	hooked  bool // some webhook is active, as the lock of the model found
	notices []notice
}

type pending struct {
	model int64
	entry *registry.Entry // sealed when it is written
}

// append adds e, which is about the model, to the log; e is sealed when the
// transaction is through.
func (w *writing) append(model int64, e *registry.Entry) {
	w.entries = append(w.entries, pending{model, e})
}

// write runs fn in a transaction and wakes those who wait for audit entries.
func (s *Store) write(ctx context.Context, fn func(tx *writing) error) error {
	var seq int64
	var queued bool
	err := s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		w := &writing{Tx: tx}
		if err := fn(w); err != nil {
			return err
		}
		var err error
		if queued, err = w.queueAll(ctx); err != nil {
			return err
		}
		seq, err = w.appendAll(ctx)
		return err
	})
	if err == nil && queued {
		s.queued.ring()
	}
	if err == nil && seq > 0 {
		s.news.publish(seq)
	}
	return err
}

// appendAll writes the entries. It returns the Seq of the last one, 0 when there
// are none.
func (w *writing) appendAll(ctx context.Context) (int64, error) {
	if len(w.entries) == 0 {
		return 0, nil
	}
	var head registry.Entry
	err := w.QueryRowContext(ctx, `SELECT seq, hash FROM mw_reg_audit_head WHERE id = 1`+w.Dialect().Lock()).Scan(&head.Seq, &head.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errors.New("the head of the audit log is missing in the database, restore it from a backup")
	}
	if err != nil {
		return 0, err
	}
	for _, p := range w.entries {
		head = p.entry.Seal(head)
		*p.entry = head
		_, err := w.ExecContext(ctx, `
			INSERT INTO mw_reg_audit (seq, model_id, kind, time_us, name, alias, from_number, to_number, made_by, reason, evidence, prev, hash)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			head.Seq, p.model, string(head.Kind), micros(head.Time), head.Name, head.Alias, head.From, head.To,
			head.By, head.Reason, texted(head.Evidence), head.Prev, head.Hash)
		if err != nil {
			return 0, err
		}
	}
	if _, err := w.ExecContext(ctx, `UPDATE mw_reg_audit_head SET seq = ?, hash = ? WHERE id = 1`, head.Seq, head.Hash); err != nil {
		return 0, err
	}
	if w.Dialect() == sqldb.Postgres {
		if _, err := w.ExecContext(ctx, `SELECT pg_notify('`+channel+`', '')`); err != nil {
			return 0, err
		}
	}
	return head.Seq, nil
}

// modelRow is what writers need of a model.
type modelRow struct {
	id      int64
	deleted sql.NullInt64
}

// lockModel finds a model and keeps other writers from it, and so from its
// versions and aliases; ErrNotFound when there is none.
func (w *writing) lockModel(ctx context.Context, name string) (m modelRow, err error) {
	var hooks int
	err = w.QueryRowContext(ctx, `SELECT id, deleted_us, `+hooked+` FROM mw_reg_models WHERE name = ?`+w.Dialect().Lock(), name).
		Scan(&m.id, &m.deleted, &hooks)
	w.hooked = hooks > 0
	if errors.Is(err, sql.ErrNoRows) {
		err = registry.ErrNotFound
	}
	return m, err
}

// lockActive is lockModel for a model that is not deleted.
func (w *writing) lockActive(ctx context.Context, name string) (int64, error) {
	m, err := w.lockModel(ctx, name)
	if err == nil && m.deleted.Valid {
		err = registry.ErrNotFound
	}
	return m.id, err
}

// tagTable is a table of tags.
type tagTable struct{ set, remove, prompt string }

func newTagTable(table, owner, owners string) tagTable {
	return tagTable{
		set: `INSERT INTO ` + table + ` (` + owner + `, key, value) VALUES (?, ?, ?)
			ON CONFLICT (` + owner + `, key) DO UPDATE SET value = excluded.value`,
		remove: `DELETE FROM ` + table + ` WHERE ` + owner + ` = ? AND key = ?`,
		prompt: `UPDATE ` + owners + ` SET prompt = ? WHERE id = ?`,
	}
}

var (
	modelTags   = newTagTable("mw_reg_model_tags", "model_id", "mw_reg_models")
	versionTags = newTagTable("mw_reg_version_tags", "version_id", "mw_reg_versions")
)

// tag changes the tags of one model or version; ErrNotFound when there is none
// to remove.
func (w *writing) tag(ctx context.Context, t tagTable, id int64, set map[string]string, remove []string) error {
	for _, key := range remove {
		result, err := w.ExecContext(ctx, t.remove, id, key)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("there is no tag %q: %w", key, registry.ErrNotFound)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if _, err := w.ExecContext(ctx, t.set, id, key, set[key]); err != nil {
			return err
		}
	}
	value, ok := set[registry.PromptTag]
	if !ok && !slices.Contains(remove, registry.PromptTag) {
		return nil
	}
	prompt := 0
	if value == "true" {
		prompt = 1
	}
	_, err := w.ExecContext(ctx, t.prompt, prompt, id)
	return err
}
