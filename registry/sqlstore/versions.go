package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// An alias holds no comma, so the list of them splits again.
const selectVersion = `
	SELECT m.name, v.number, v.created_us, v.digest, v.manifest, COALESCE(v.idem_key, ''),
		v.framework, v.flavor, v.run, v.signature, v.datasets, v.metrics, v.tags,
		(SELECT group_concat(a.alias) FROM mw_reg_aliases a WHERE a.model_id = v.model_id AND a.number = v.number)
	FROM mw_reg_models m JOIN mw_reg_versions v ON v.model_id = m.id `

// CreateVersion implements registry.Store.
func (s *Store) CreateVersion(ctx context.Context, v *registry.Version) (*registry.Version, error) {
	row, err := encode(v)
	if err != nil {
		return nil, err
	}
	var out *registry.Version
	err = s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		if v.Key != "" {
			out, err = scanVersion(tx.QueryRowContext(ctx, selectVersion+`WHERE m.name = ? AND v.idem_key = ?`, v.Name, v.Key))
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		var model, number int64
		err = tx.QueryRowContext(ctx, `
			INSERT INTO mw_reg_models (name, created_us, latest) VALUES (?, ?, 1)
			ON CONFLICT (name) DO UPDATE SET latest = latest + 1
			RETURNING id, latest`, v.Name, micros(v.Created)).Scan(&model, &number)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO mw_reg_versions (model_id, number, created_us, digest, manifest, idem_key,
				framework, flavor, run, signature, datasets, metrics, tags)
			VALUES (?, ?, ?, ?, ?, NULLIF(?, ''), ?, ?, ?, ?, ?, ?, ?)`,
			model, number, micros(v.Created), v.Digest, row.manifest, v.Key,
			v.Framework, v.Flavor, v.Run, row.signature, row.datasets, row.metrics, row.tags)
		if err != nil {
			return err
		}
		out, err = scanVersion(tx.QueryRowContext(ctx, selectVersion+`WHERE m.id = ? AND v.number = ?`, model, number))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Version implements registry.Store.
func (s *Store) Version(ctx context.Context, name string, number int) (*registry.Version, error) {
	v, err := scanVersion(s.version.QueryRowContext(ctx, name, number))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, registry.ErrNotFound
	}
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return v, nil
}

// Versions implements registry.Store.
func (s *Store) Versions(ctx context.Context, name string, before, limit int) ([]*registry.Version, error) {
	return page(ctx, s,
		func(rows *sql.Rows) (*registry.Version, error) { return scanVersion(rows) },
		selectVersion+`WHERE m.name = ?1 AND (?2 = 0 OR v.number < ?2) ORDER BY v.number DESC LIMIT ?3`, name, before, limit)
}

// Models implements registry.Store.
func (s *Store) Models(ctx context.Context, after string, limit int) ([]registry.Model, error) {
	return page(ctx, s,
		func(rows *sql.Rows) (m registry.Model, err error) {
			var us int64
			err = rows.Scan(&m.Name, &us, &m.Latest)
			m.Created = fromMicros(us)
			return m, err
		},
		`SELECT name, created_us, latest FROM mw_reg_models WHERE name > ? ORDER BY name LIMIT ?`, after, limit)
}

// encoded is what a version's text columns hold; an empty JSON one is NULL.
type encoded struct {
	manifest                           []byte
	signature, datasets, metrics, tags sql.NullString
}

func encode(v *registry.Version) (encoded, error) {
	out := encoded{manifest: registry.EncodeManifest(v.Files), signature: text(v.Signature)}
	for _, part := range []struct {
		column *sql.NullString
		empty  bool
		value  any
	}{
		{&out.datasets, len(v.Datasets) == 0, v.Datasets},
		{&out.metrics, len(v.Metrics) == 0, v.Metrics},
		{&out.tags, len(v.Tags) == 0, v.Tags},
	} {
		if part.empty {
			continue
		}
		b, err := json.Marshal(part.value)
		if err != nil {
			return encoded{}, err
		}
		*part.column = text(b)
	}
	return out, nil
}

func text(b []byte) sql.NullString {
	return sql.NullString{String: string(b), Valid: len(b) > 0}
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

func scanVersion(row scanner) (*registry.Version, error) {
	var (
		v       registry.Version
		us      int64
		aliases sql.NullString
		cols    encoded
	)
	err := row.Scan(&v.Name, &v.Number, &us, &v.Digest, &cols.manifest, &v.Key, &v.Framework, &v.Flavor, &v.Run,
		&cols.signature, &cols.datasets, &cols.metrics, &cols.tags, &aliases)
	if err != nil {
		return nil, err
	}
	v.Created = fromMicros(us)
	if err := decode(&v, cols); err != nil {
		// The kind of the cause is dropped on purpose: the caller's input is
		// not what is invalid.
		return nil, fmt.Errorf("the record of version %d in the database is damaged, restore it from a backup: %v", v.Number, err)
	}
	if aliases.Valid {
		v.Aliases = strings.Split(aliases.String, ",")
		slices.Sort(v.Aliases)
	}
	return &v, nil
}

// decode fills v from the columns that hold encoded text.
func decode(v *registry.Version, cols encoded) (err error) {
	if v.Files, err = registry.DecodeManifest(cols.manifest); err != nil {
		return err
	}
	if cols.signature.Valid {
		v.Signature = json.RawMessage(cols.signature.String)
		if !json.Valid(v.Signature) {
			return errors.New("the signature is not valid JSON")
		}
	}
	for _, part := range []struct {
		column sql.NullString
		what   string
		dest   any
	}{
		{cols.datasets, "datasets", &v.Datasets},
		{cols.metrics, "metrics", &v.Metrics},
		{cols.tags, "tags", &v.Tags},
	} {
		if !part.column.Valid {
			continue
		}
		if err := json.Unmarshal([]byte(part.column.String), part.dest); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return nil
}
