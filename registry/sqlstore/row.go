package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// deletion is what a row's deleted_us says.
func deletion(us sql.NullInt64) (deleted bool, at time.Time) {
	if !us.Valid {
		return false, time.Time{}
	}
	return true, fromMicros(us.Int64)
}

// eachRow runs a statement of constant text and hands every row to scan. The
// rows are few: all queries are bounded.
func eachRow(ctx context.Context, tx *sqldb.Tx, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// texted is a column that holds text, NULL when that is empty.
func texted[T ~string | ~[]byte](b T) sql.NullString {
	return sql.NullString{String: string(b), Valid: len(b) > 0}
}

// encoded is what a version's long columns hold.
type encoded struct {
	manifest                                   string
	code, datasets, metrics, signed, signature sql.NullString
	tags                                       sql.NullString // of a table of its own
}

// parts are the columns of JSON, but for the signature, which is kept as it is.
func (c *encoded) parts(v *registry.Version) []part {
	return []part{
		{&c.code, "code", v.Code == (registry.Code{}), &v.Code},
		{&c.datasets, "datasets", len(v.Datasets) == 0, &v.Datasets},
		{&c.metrics, "metrics", len(v.Metrics) == 0, &v.Metrics},
		{&c.signed, "signed", len(v.Signed) == 0, &v.Signed},
	}
}

type part struct {
	column *sql.NullString
	what   string
	empty  bool
	value  any // pointer
}

func encode(v *registry.Version) (encoded, error) {
	out := encoded{manifest: string(registry.EncodeManifest(v.Files)), signature: texted(v.Signature)}
	for _, p := range out.parts(v) {
		if p.empty {
			continue
		}
		b, err := json.Marshal(p.value)
		if err != nil {
			return encoded{}, fmt.Errorf("%s: %w: %w", p.what, err, registry.ErrInvalid)
		}
		*p.column = texted(b)
	}
	return out, nil
}

// decode fills v from the columns.
func decode(v *registry.Version, cols encoded) (err error) {
	if v.Files, err = registry.DecodeManifest([]byte(cols.manifest)); err != nil {
		return err
	}
	if len(v.Files) == 0 {
		v.Files = nil
	}
	if cols.signature.Valid {
		v.Signature = json.RawMessage(cols.signature.String)
		if !json.Valid(v.Signature) {
			return errors.New("the signature is not valid JSON")
		}
	}
	for _, p := range append(cols.parts(v), part{column: &cols.tags, what: "tags", value: &v.Tags}) {
		if !p.column.Valid {
			continue
		}
		if err := json.Unmarshal([]byte(p.column.String), p.value); err != nil {
			return fmt.Errorf("%s: %w", p.what, err)
		}
	}
	if len(v.Tags) == 0 {
		v.Tags = nil
	}
	return nil
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// scanVersion reads a row of texts.version, with its id and its size in bytes,
// roughly.
func scanVersion(row scanner) (v *registry.Version, id int64, size int, err error) {
	v = new(registry.Version)
	var created, updated int64
	var deleted sql.NullInt64
	var cols encoded
	var aliases sql.NullString
	err = row.Scan(&id, &v.Name, &v.Number, &created, &updated, &deleted, &v.Run, &v.Stage, &v.Status, &v.Key,
		&v.Digest, &v.Framework, &v.Flavor, &v.License, &v.Golden, &v.LoggedModel, &v.User, &v.Source, &v.StatusMessage, &v.Description,
		&cols.code, &cols.datasets, &cols.metrics, &cols.signed, &cols.signature, &cols.manifest, &cols.tags, &aliases)
	if err != nil {
		return nil, 0, 0, err
	}
	v.Created, v.Updated = fromMicros(created), fromMicros(updated)
	v.Deleted, v.DeletedAt = deletion(deleted)
	if err := decode(v, cols); err != nil {
		// The kind of the cause is dropped on purpose: the caller's input is
		// not what is invalid.
		return nil, 0, 0, fmt.Errorf("the record of version %d in the database is damaged, restore it from a backup: %v", v.Number, err)
	}
	if aliases.Valid {
		v.Aliases = strings.Split(aliases.String, ",")
		slices.Sort(v.Aliases)
	}
	size = len(cols.manifest) + len(cols.tags.String) + len(cols.signature.String) + len(cols.signed.String) + 1000
	return v, id, size, nil
}
