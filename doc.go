// Package millwright is the map of Millwright: MLOps inside your own Go
// service. It has no API of its own; import the packages that you need.
//
// # The loop
//
//		dataset ► train ► tracking ► registry ► serve ► monitor ► your callback ► dataset …
//
//	  - dataset keeps immutable versions of Arrow tables as plain Delta Lake
//	    tables, in a folder (dataset/blob/dirblob) or on S3 (dataset/blob/s3blob).
//	    dataset/profile summarises columns.
//	  - train describes a training job; train/local runs it as a process.
//	  - tracking records runs: params, metrics, inputs, artifacts.
//	    tracking/sqlstore keeps them in SQLite.
//	  - registry keeps model versions, with digests, aliases and lineage.
//	    registry/sqlstore keeps them in SQLite.
//	  - serve answers the Open Inference Protocol over HTTP; serve/oip is the
//	    protocol and its client.
//	  - monitor compares live traffic with the reference profile of the model.
//	    monitor/servehook ties it to a server, monitor/promexport to Prometheus,
//	    monitor/inferlog keeps the requests, monitor/drift has the statistics.
//
// The packages meet at standard types (fs.FS, http.Handler, io.Reader, funcs),
// so each can be used without the others. Each records the one before it:
// from the id of one prediction you can reach the bytes that trained the model.
//
// The example below wires all of them by hand; examples/quickstart is the same
// on real data, with an incident and a promotion.
package millwright
