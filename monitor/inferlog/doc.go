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
// Append copies the rows into memory and returns; one worker writes them in
// large files. A row that cannot be kept is dropped and counted, never waited
// for: at every moment [Stats] has observed = written + dropped + pending. What
// is pending is lost if the process is killed; what is written is durable.
//
// # Columns
//
//	request_id  string
//	row         int32       place in the request, from 0
//	time        timestamp   microseconds, UTC
//	model       string
//	version     string
//	latency_us  int64
//	in_<name>, out_<name>   one column a field
package inferlog
