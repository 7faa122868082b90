// Package sqlstore keeps experiments and runs in an SQLite file: the embedded
// store of package tracking, with nothing to install.
//
//	store, err := sqlstore.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	if err != nil { … }
//	defer store.Close()
//	client := tracking.New(store, nil)
//
// Any number of processes on one machine may have the file open and write at
// once, for instance a service and the trainers it started; they take turns by
// transaction. The file must be on a local disk, because the log that readers
// and writers share lies in shared memory beside it (-wal and -shm files). It
// may be the application's own database and the registry's at the same time:
// all tables are named mw_….
//
// # Durability
//
// A method that returned nil has committed: the write survives a crash or kill
// of the process. Options.FullSync extends that to power cuts.
//
// # Schema
//
// Open creates and migrates the schema (tables mw_experiment, mw_run, mw_key,
// mw_param, mw_tag, mw_metric, mw_latest, mw_dataset, mw_input; versions in
// mw_migrations). It is plain SQL that other programs may read; they should
// not write it.
package sqlstore
