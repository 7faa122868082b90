// Package inferlog keeps every inference of a model as a dataset: what came in,
// what went out, when, and from which version. Any engine that reads Delta Lake
// can query it, and one request can be found again and replayed.
//
//	log, err := inferlog.Open(ctx, catalog, "churn-inferences", inferlog.Schema{
//		Inputs:  []inferlog.Field{{Name: "spend", Type: inferlog.Float64}},
//		Outputs: []inferlog.Field{{Name: "score", Type: inferlog.Float64}},
//	}, nil)
//	defer log.Shutdown(ctx)
//	log.Append(inferlog.Record{RequestID: id, Time: now, Model: "churn", Version: "3",
//		Inputs: []any{spend}, Outputs: []any{scores}}) // []float64 each, one value a row.
//
// A monitor fills a log with what it has counted anyway, without a second copy
// on the path of the request:
//
//	log, err := inferlog.Open(ctx, catalog, "churn-inferences", inferlog.SchemaOf(reference), nil)
//	m, err := monitor.New(reference, &monitor.Options{Log: log})
//
// # Nothing is lost uncounted
//
// Append copies the rows and returns; one worker writes them in large files. At
// every moment [Stats] has observed = written + dropped + sampled out + pending.
// What happens while the store is slow or dead is Options.Overflow: rows that do
// not fit into memory are dropped and counted (Drop), Append waits (Block), or
// every row is in a local file before Append returns (Spill). With Spill a kill
// loses no row whose Append has returned, and writes none twice; otherwise what
// was pending is lost with the process. A full or failing disk costs Spill that
// promise and no row that fits into memory.
//
// # What is kept
//
// Options.Sample keeps a share of the requests, by a hash of their ids, and with
// it all that failed and all outliers. Options.Redact and Hash take values out
// before they are copied, so that neither memory nor disk nor store see them.
// Options.Retention deletes what is old.
//
// # Columns
//
//	request_id  string
//	row         int32       place in the request, from 0
//	time        timestamp   microseconds, UTC
//	model       string
//	version     string
//	latency_us  int64
//	error       string      why the request failed, "" when it did not
//	in_<name>, out_<name>   one column a field; null where redacted, and the
//	                        outputs of a request that failed
//
// # Partitions
//
// A file holds the rows of one hour, model and version, and the statistics of
// files let whoever asks for some of them leave out the files of all others:
// dataset.ReadOptions.Where and delta-rs do, DuckDB by model and version. That is
// what a Delta table with partition columns gives, at the same cost to a query,
// without its price: the values of such columns are in no file, so that a file by
// itself would not say what its rows are, nor its digest, by which the dataset
// names, checks and finds files, speak for them.
package inferlog
