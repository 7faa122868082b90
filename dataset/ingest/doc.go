// Package ingest reads files of other tools as Arrow records: CSV, JSON Lines,
// Parquet and Arrow IPC, one file or many of one schema, plain or compressed
// with gzip or Zstandard.
//
//	in, err := ingest.Open(ctx, []string{"exports/2026-*.csv.gz"}, nil)
//	flights, err := catalog.Create(ctx, "flights", in.Schema(), nil)
//	v, err := flights.Append(ctx, in, nil)
//	in.Release()
//
// The records fit a dataset: each column has one of the types that
// dataset.Create takes.
//
// # Types
//
// The types of text are inferred from a bounded sample of the first rows, a
// number only where nothing is lost by it:
//
//	true, False             bool
//	12, -7                  int64; 007, +7 and what exceeds an int64 are text
//	1.5, 1e9, NaN, inf      float64; also a column with 12 and 1.5 in it
//	2026-11-21              date32
//	2026-11-21T17:00:00Z    timestamp[us, UTC]; also with a space, with digits
//	                        after the second, with an offset such as +01:00
//	everything else         utf8; also a column that was empty in the sample
//
// JSON objects become structs and arrays become lists. Parquet and Arrow files
// say what they hold; what a dataset has no type for is converted where no
// value can change its meaning: small unsigned integers become wider signed
// ones, timestamps of other units and zones become microseconds in UTC,
// dictionaries and large strings become strings, float16 becomes float32, lists
// of a fixed size become lists. A value that does not fit, an uint64 above the
// int64s or a nanosecond that is not a whole microsecond, is an error that
// names its row.
//
// Times without a zone are refused until Options.Location says where their
// clock stood. Options.Types sets the types of some columns, Options.Schema of
// all; every format is then read as that.
//
// # Errors
//
// A value that cannot be read ends the reader with a *RowError, which names the
// file, the row, the line and the column. Options.BadRows lets an import go on
// without such rows, and is told each of them. A file of another schema is an
// error that lists every difference.
//
// # Memory
//
// Text is parsed in blocks of Options.BlockBytes, several at once on as many
// cores; about four blocks and their records a worker are in memory, whatever
// the size of the file. A Parquet file takes about a row group, an Arrow file a
// record batch. A single row, batch or buffer that is larger than
// Options.MaxBytes is an error, whatever the file claims.
package ingest
