package sqlstore

import (
	"context"
	"database/sql"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/registry"
)

var _ registry.LatestLister = (*Store)(nil)

// LatestVersions implements registry.LatestLister.
func (s *Store) LatestVersions(ctx context.Context, names []string) (list []*registry.Version, err error) {
	stages := []string{registry.StageNone, registry.StageStaging, registry.StageProduction, registry.StageArchived}
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		list = nil
		var entries []sqlsearch.Entry
		// One look into the index for each model and stage, however many
		// versions there are.
		query := `SELECT (
				SELECT v.id FROM mw_reg_versions v WHERE v.model_id = m.id AND v.stage = s.value AND v.deleted_us IS NULL
				ORDER BY v.number DESC LIMIT 1)
			FROM mw_reg_models m CROSS JOIN ` + s.dialect.EachText("s") + `
			WHERE m.deleted_us IS NULL AND m.name IN (SELECT x.value FROM ` + s.dialect.EachText("x") + `)`
		err := eachRow(ctx, tx, query, []any{s.dialect.Texts(stages), s.dialect.Texts(names)}, func(rows *sql.Rows) error {
			var id sql.NullInt64
			err := rows.Scan(&id)
			if id.Valid {
				entries = append(entries, sqlsearch.Entry{ID: id.Int64})
			}
			return err
		})
		if err != nil || len(entries) == 0 {
			return err
		}
		list, _, err = s.foundVersions(ctx, tx, entries)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
