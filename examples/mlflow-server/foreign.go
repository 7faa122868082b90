package main

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
)

// holdsMLflow reports whether the database has tables of upstream's server.
// They may lie beside ours, but this server does not read them, and somebody
// who expects to see old runs should be told.
func holdsMLflow(ctx context.Context, backend string) bool {
	driver, source := "pgx", backend
	if u, err := url.Parse(backend); err == nil && u.Scheme == "sqlite" {
		driver, source = "sqlite", (&url.URL{Scheme: "file", Path: u.Path, RawQuery: "mode=ro"}).String()
	} else if scheme, rest, ok := strings.Cut(backend, "://"); ok {
		scheme, _, _ = strings.Cut(scheme, "+") // postgresql+psycopg2
		source = scheme + "://" + rest
	}
	db, err := sql.Open(driver, source) // tracking/sqlstore links both drivers
	if err != nil {
		return false
	}
	defer func() { _ = db.Close() }()
	var version string
	return db.QueryRowContext(ctx, "SELECT version_num FROM alembic_version").Scan(&version) == nil
}
