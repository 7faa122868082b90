// Package sqldb opens the embedded SQL database that the sqlstore packages
// share, runs their migrations and turns engine errors into the project's
// error kinds.
//
// A store uses it like this:
//
//	//go:embed migrations/*.sql
//	var migrations embed.FS
//
//	db, err := sqldb.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	if err != nil { … }
//	files, _ := fs.Sub(migrations, "migrations")
//	if err := sqldb.Migrate(ctx, db, "registry", files); err != nil { … }
//
//	// Write: one BEGIN IMMEDIATE transaction, committed when the func returns nil.
//	err = db.Tx(ctx, func(tx *sql.Tx) error {
//		_, err := tx.ExecContext(ctx, `INSERT INTO mw_model (name) VALUES (?)`, name)
//		if sqldb.IsUnique(err) {
//			return fmt.Errorf("model %q: %w", name, errs.ErrExists)
//		}
//		return err
//	})
//
//	// Read: one snapshot over several statements.
//	err = db.View(ctx, func(tx *sql.Tx) error { … })
//
//	// Read: a single statement.
//	err = db.Read().QueryRowContext(ctx, `SELECT …`).Scan(&v)
//	err = sqldb.Explain(err)
//
// # Rules for callers
//
// Read a bounded page into memory inside View and return it: a SELECT left
// open while a caller consumes it pins the write-ahead log, which then grows
// without end. Do no network or file work inside Tx: the one writer waits.
// Every table is named mw_…, because the file may be the application's own.
// Several processes and several handles of one process may open one file at
// once; the writer waits for its turn up to Options.BusyTimeout, and no
// longer than its context.
//
// Errors carry no package prefix: the public package that calls puts its own
// in front.
package sqldb
