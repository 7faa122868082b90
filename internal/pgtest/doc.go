// Package pgtest gives tests a real PostgreSQL server. It links the standard
// library only.
//
//	url := pgtest.URL(t)       // a fresh empty database
//	url := pgtest.SchemaURL(t) // a fresh empty schema of a shared one: faster
//
// The server is started once in a test process, from an installation that is
// there already, on a free port of the loopback, with its data in a temporary
// folder, and ends with the process, however that ends. It is set up for
// speed and not for power cuts (fsync is off). Tests that stop and kill a
// server start one of their own with Start.
//
// The programs initdb and postgres are looked for in
// MILLWRIGHT_POSTGRES_BIN (a folder), on PATH, in /usr/lib/postgresql/*/bin,
// the newest version first, and in MILLWRIGHT_CACHE/bin. Where they are absent
// the test is skipped; with REQUIRE_REAL=1 it fails. PostgreSQL refuses to run
// as root: there it runs as the user postgres or nobody.
package pgtest
