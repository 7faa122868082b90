// Package sqlstore keeps a registry's records in an SQLite file or in
// PostgreSQL.
//
//	store, err := sqlstore.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	if err != nil { … }
//	defer store.Close()
//	reg := registry.New(store, files, nil)
//
// Open makes an absent file and brings the schema up to date; New uses the
// connections that an application has open, and Migrate is then called apart.
// The tables are named mw_reg_…, so the database may be shared with
// tracking/sqlstore and with tables of the application. Any number of handles
// and processes may have it open.
//
// Every write is one transaction that has reached the disk when the call
// returns: registrations and moves of aliases are rare and outlive a power
// cut, not only a kill. PostgreSQL keeps that promise as it is set up, with
// synchronous_commit on.
//
// [Store] is all that package registry knows of a store: it purges
// ([registry.Purger]), lets the files be collected ([registry.Collector]) and
// wakes those who watch an alias ([registry.Notifier]): on PostgreSQL within
// milliseconds, by LISTEN and NOTIFY, on SQLite at once when this Store moved
// it and within a tenth of a second when another process did.
//
// It is a [webhook.Store] as well: what webhooks are told of is queued in the
// transaction of the change. While there are no webhooks that costs nothing but
// a look at an empty table, in a statement that is made anyway.
package sqlstore
