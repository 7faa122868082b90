// Package sqlsearch turns the filters and orders of package tracking/search into
// statements for SQLite and PostgreSQL, and finds one page of entries after
// another.
//
//	l, none := sqlsearch.New(tx, schema, keys, clauses, orders)
//	from, err := sqlsearch.Open(kind, sum, token, l.Fits)
//	entries, err := l.Page(ctx, from, size+1)
//	next := sqlsearch.Seal(kind, sum, entries[size-1].At)
//
// A Schema says which tables and columns hold what a filter can name.
package sqlsearch
