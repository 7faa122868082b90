// Package iceberg shows a version of a dataset to readers of Apache Iceberg.
//
//	v, err := churn.Resolve(ctx, "2026-03")
//	url, err := iceberg.Export(ctx, store, "s3://lake/datasets", v, "2026-03")
//	// url is s3://lake/datasets/churn/_iceberg/2026-03/metadata/v1.metadata.json
//
// An export is metadata alone: it names the Parquet files of the version where
// they are, and copies none. It is for versions that do not change, such as
// tags, and is a dead end: nobody commits to it. The committed log of a dataset
// stays its Delta log, because an Iceberg table without a catalog service cannot
// be changed safely in an object store.
//
//	pyiceberg.table.StaticTable.from_metadata(url).scan().to_arrow()
//	SELECT * FROM iceberg_scan('s3://lake/…/v1.metadata.json')   -- DuckDB
//
// # What is on disk
//
//	churn/_iceberg/<name>/metadata/v1.metadata.json   written last: it makes the export
//	churn/_iceberg/<name>/metadata/version-hint.text  for readers that are given the folder
//	churn/_iceberg/<name>/metadata/<sha256>.avro      a manifest list and its manifest
//
// The format is version 2 of the Iceberg specification, with one snapshot, the
// branch "main" and a tag of the export's name. The data files carry no field
// ids, so columns are found by name, through the table property
// schema.name-mapping.default.
//
// Iceberg wants absolute locations, so a folder or bucket that is moved needs a
// new export. Everything but the location follows from the version: a repeated
// export writes the same bytes and succeeds.
package iceberg
