package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/millwright-ml/millwright/internal/errs"
)

// oldestPostgres is the first server version that has all we use
// (pg_current_xact_id).
const oldestPostgres = 130000

// IsPostgresURL reports whether Open takes the URL for one of PostgreSQL. It
// also knows the form in which SQLAlchemy, and so MLflow, names a driver.
func IsPostgresURL(rawURL string) bool {
	scheme, _, ok := strings.Cut(rawURL, ":")
	scheme, _, _ = strings.Cut(strings.ToLower(scheme), "+")
	return ok && (scheme == "postgres" || scheme == "postgresql")
}

func openPostgres(ctx context.Context, rawURL string, o Options) (*DB, error) {
	_, rest, _ := strings.Cut(rawURL, ":")
	config, err := parsePostgres("postgres:" + rest)
	if err != nil {
		return nil, err
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(o.Connections)
	pool.SetMaxIdleConns(o.Connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db := &DB{
		dialect: Postgres, wait: o.BusyTimeout, pool: pool, own: []*sql.DB{pool},
		name: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))) + "/" + config.Database,
	}
	if err := db.checkPostgres(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open PostgreSQL database %q: %w", db.name, err), pool.Close())
	}
	return db, nil
}

// parsePostgres keeps the parser's error to itself, since it may repeat parts
// of the URL.
func parsePostgres(rawURL string) (*pgx.ConnConfig, error) {
	const form = "want postgres://user:password@host:port/database"
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the PostgreSQL URL does not parse (escape special characters of the password as %%XX): %s: %w", form, errs.ErrInvalid)
	}
	if u.Opaque != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the PostgreSQL URL of host %q has no // after its scheme, or a # (write it as %%23): %s: %w", printable(u.Host), form, errs.ErrInvalid)
	}
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the PostgreSQL URL of host %q has a port or a parameter that cannot be used: %s: %w", printable(u.Host), form, errs.ErrInvalid)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "millwright"
	}
	return config, nil
}

// checkPostgres connects and asks for what the rest relies on.
func (d *DB) checkPostgres(ctx context.Context) error {
	var version, encoding string
	found := false
	err := d.pool.QueryRowContext(ctx, `
		SELECT current_setting('server_version_num'), current_setting('server_encoding'), 1 = ANY(CAST($1 AS bigint[]))`,
		[]int64{1}).Scan(&version, &encoding, &found)
	if err != nil {
		return d.explain(ctx, err)
	}
	if n, err := strconv.Atoi(version); err != nil || n < oldestPostgres || !found {
		return fmt.Errorf("the server has version %q, want PostgreSQL 13 or newer: %w", version, errs.ErrUnsupported)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database has the encoding %q, want UTF8: create it with ENCODING 'UTF8' TEMPLATE template0: %w", encoding, errs.ErrUnsupported)
	}
	return nil
}
