// Package sqldb opens the SQL databases that the sqlstore packages keep their
// data in, an SQLite file or PostgreSQL, runs their migrations and turns
// engine errors into the project's error kinds.
//
// A store uses it like this:
//
//	//go:embed migrations
//	var migrations embed.FS // migrations/sqlite/0001_….sql, migrations/postgres/0001_….sql
//
//	db, err := sqldb.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	if err != nil { … }
//	files, _ := fs.Sub(migrations, "migrations")
//	if err := sqldb.Migrate(ctx, db, "registry", files); err != nil { … }
//
//	// Write: one transaction, committed when the func returns nil.
//	err = db.Tx(ctx, func(tx *sqldb.Tx) error {
//		var id int64
//		err := tx.QueryRowContext(ctx, `INSERT INTO mw_model (name) VALUES (?) ON CONFLICT (name) DO NOTHING RETURNING id`, name).Scan(&id)
//		if errors.Is(err, sql.ErrNoRows) {
//			return fmt.Errorf("model %q: %w", name, errs.ErrExists)
//		}
//		return err
//	})
//
//	// Read: one snapshot over several statements.
//	err = db.View(ctx, func(tx *sqldb.Tx) error { … })
//
// # One text for two databases
//
// Statements are written once, with ? for parameters, in what both databases
// understand: INSERT … ON CONFLICT … DO NOTHING or DO UPDATE SET x =
// excluded.x, RETURNING, row values ((a, b) > (?, ?)), NULLS LAST, window
// functions, CAST(? AS bigint), substr, lower, COALESCE. The pieces that differ
// come from the methods of Dialect:
//
//	list parameter   WHERE `+d.In("id")+`      with d.Ints(ids) or d.Texts(names)
//	rows from a list FROM `+d.Each("k")+`      k.value, with d.Ints(ids)
//	row lock         SELECT … `+d.Lock()       others that lock the row wait
//	pattern          cond, arg := d.Like("name", pattern), d.ILike("name", pattern)
//
// A text that is put together for one call (a search) goes to Tx.QueryBuilt,
// every other to QueryContext, QueryRowContext or ExecContext, which keep it
// prepared.
//
// The schemas make the rest equal: on PostgreSQL every text column says
// COLLATE "C", so that comparison and order go by bytes as in SQLite (and
// lower() folds A to Z only, as there). Integers are INTEGER and bigint,
// floating numbers REAL and double precision, bytes BLOB and bytea (SET STORAGE
// EXTERNAL when they are compressed already). SQLite cannot hold NaN (it
// becomes NULL): store 0 and a flag. PostgreSQL cannot hold NUL in text and
// breaks the transaction at the first failed statement: say ON CONFLICT instead
// of looking for IsUnique and going on.
//
// Patterns: '%' is any text, '_' one character, a backslash takes away the
// meaning of '%', '_' and '\' after it and is itself before anything else.
// Like compares letters as they are; ILike folds A to Z and nothing else. Both
// databases then agree.
//
// # Rules for callers
//
// Read a bounded page into memory inside View and return it: a SELECT left
// open while a caller consumes it pins SQLite's write-ahead log, which then
// grows without end, and holds back PostgreSQL's vacuum. Close the rows of one
// statement before the next one: PostgreSQL has one at a time. Do no network
// or file work inside Tx: on SQLite the one writer waits. The func given to Tx
// may run more than once (see Tx), so it sets what it leaves outside and adds
// nothing to it. Nothing in it may call the DB again.
//
// Every table is named mw_…, because the database may be the application's
// own. Several processes and several handles of one process may open one file
// at once; the writer waits for its turn up to Options.BusyTimeout, and no
// longer than its context.
//
// Errors carry no package prefix: the public package that calls puts its own
// in front.
package sqldb
