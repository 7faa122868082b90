// Package sqlstore keeps a registry's records in an SQLite file.
//
//	store, err := sqlstore.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	if err != nil { … }
//	defer store.Close()
//	reg := registry.New(store, files, nil)
//
// The URL is "sqlite:///absolute/path.db" or "sqlite:relative/path.db". The
// file is made when it is absent and brought to the current schema by Open; the
// folder must exist. Its tables are named mw_reg_…, so the file may be shared
// with tracking/sqlstore and with tables of the application. Any number of
// handles and processes may have it open; writers take turns.
//
// Every write is one transaction that has reached the disk when the call
// returns: registrations and moves of aliases are rare and outlive a power
// cut, not only a kill.
package sqlstore
