package rivals

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the drivers of MLflow's database
	_ "modernc.org/sqlite"
)

// SeedTables writes rows into MLflow's tables, which its server made, in one
// transaction.
func SeedTables(ctx context.Context, url string, fill func(tx *sql.Tx) error) error {
	driver, source := "sqlite", strings.TrimPrefix(url, "sqlite:///")
	if strings.HasPrefix(url, "postgres") {
		driver, source = "pgx", strings.Replace(url, "+psycopg2", "", 1) // as SQLAlchemy has it
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to say
	if err := fill(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "ANALYZE") // what PostgreSQL would do by itself a little later
	return err
}

// Inserter gathers rows of literals, all of them ours, into long statements.
type Inserter struct {
	Tx   *sql.Tx
	Head string // "INSERT INTO table (columns) VALUES "

	text strings.Builder
	n    int
	err  error
}

// Add appends a row.
func (in *Inserter) Add(ctx context.Context, format string, args ...any) {
	if in.n > 0 {
		in.text.WriteByte(',')
	}
	fmt.Fprintf(&in.text, format, args...)
	if in.n++; in.n == 500 {
		_ = in.Flush(ctx) // it comes back at the end
	}
}

// Flush writes what was gathered, and returns the first error there was.
func (in *Inserter) Flush(ctx context.Context) error {
	if in.n > 0 && in.err == nil {
		_, in.err = in.Tx.ExecContext(ctx, in.Head+in.text.String())
	}
	in.text.Reset()
	in.n = 0
	if in.err != nil {
		return fmt.Errorf("%s: %w", in.Head, in.err)
	}
	return nil
}
