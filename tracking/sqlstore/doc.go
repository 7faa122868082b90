// Package sqlstore keeps experiments, runs, logged models and traces in an SQL
// database: an SQLite file, with nothing to install, or PostgreSQL 13 or newer.
// Both behave the same, to the order of texts and the last bit of a metric.
//
//	store, err := sqlstore.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	store, err := sqlstore.Open(ctx, "postgres://app@db.internal/millwright", nil)
//	if err != nil { … }
//	defer store.Close()
//	client := tracking.New(store, nil)
//
// Any number of processes on one machine may have an SQLite file open and write
// at once, for instance a service and the trainers it started; they take turns
// by transaction. Within a process, calls that come together share one. The
// file must be on a local disk, because the log that readers and writers share
// lies in shared memory beside it (-wal and -shm files). Any number of servers
// may share a PostgreSQL database.
//
// # The application's own database
//
// Open migrates the schema. New takes a *sql.DB that the application has open
// and only checks the schema; Migrate changes it, when the application says so.
// All tables are named mw_…, versions are in mw_migrations; the registry may
// use the same database.
//
// # Durability
//
// A method that returned nil has committed: the write survives a crash or kill
// of the process, on PostgreSQL whatever the server's settings promise.
// Options.FullSync extends that to power cuts on SQLite. While a PostgreSQL
// server restarts, calls wait and are tried again, up to Options.BusyTimeout. A
// commit whose answer was lost is looked up, so that nothing is done twice.
//
// # Metrics
//
// A batch of metric points is stored as one row (mw_metric_log), whatever the
// number of points and keys. In the background, about a second later or when
// much has come together, and before anybody reads them, the points are folded
// into compressed blocks (mw_metric_block, by run and metric, about four bytes
// a point) and the latest point of each metric (mw_latest). Every method sees
// all that was acknowledged, in any process. Points equal in key, value, time
// and step are one, however often and wherever they were sent.
//
// The tables may be read by other programs, which should not write them; those
// of the metrics miss what has not been folded yet.
package sqlstore
