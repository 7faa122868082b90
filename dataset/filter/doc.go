// Package filter holds predicates over the rows of a table: build them with
// [Eq], [And] and the like, or [Parse] them from the text of a WHERE clause.
//
//	late, err := filter.Parse("delay > 15 AND origin IN ('SFO', 'LAX')")
//	rows, err := version.Read(ctx, &dataset.ReadOptions{Where: late})
//
// # Meaning
//
// Comparisons follow SQL's three-valued logic, and a row matches when the
// predicate is true for it, not when it is null: a row whose delay is null
// matches neither "delay > 15" nor "NOT (delay > 15)".
//
// Floats are ordered as PostgreSQL, DuckDB and Spark order them: a NaN equals a
// NaN and is larger than every number, and the two zeros are equal. A literal
// that is compared with a float32 column is rounded to float32 first, so that
// 0.1 finds 0.1. Integers, decimals, dates and timestamps are compared exactly
// with whatever number or time the literal says. Text is compared byte by byte.
//
// # Use
//
// [Expr.Bind] checks an expression against a schema and reports every fault at
// once. The [Bound] expression marks the rows of a record ([Bound.Eval]), and
// tells from statistics whether a file or a row group can hold a matching row
// at all ([Bound.Prune], [Bound.PruneJSON]). Both are safe for concurrent use.
package filter
