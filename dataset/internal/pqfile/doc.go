// Package pqfile writes and reads the Parquet files of a dataset. It speaks
// arrow-go v18 only.
//
// Writing is deterministic: the bytes of a file depend on the rows and their
// order, never on how a caller cut them into batches, so that equal content
// has an equal name.
package pqfile
