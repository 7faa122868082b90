// Package dataset keeps immutable, versioned tables of Arrow records in a
// folder or an object store, in a form that other engines read by path.
//
//	store, err := dirblob.Open("/data/lake")      // or s3blob.Open, or blob.Mem
//	catalog := dataset.New(store, nil)
//	churn, err := catalog.Create(ctx, "churn", schema, nil)
//	v, err := churn.Append(ctx, records, &dataset.CommitOptions{Message: "march"})
//	fmt.Println(v.Number, v.Digest)               // 1 sha256:…
//	rows, err := v.Read(ctx, nil)                 // exactly these rows, for ever
//
// # Versions
//
// Every [Branch.Append] makes a [Version]. Its Number is for people and other
// engines, its Digest is for lineage: a digest names the content, so a training
// run that records it can be traced to the bytes it saw, in whatever store they
// are. Versions are never changed or deleted.
//
// A commit is one put-if-absent of one small file, after everything it names is
// durable. Writers on one machine or many need no lock and no service; readers
// see a version whole or not at all; a killed writer leaves nothing behind but
// files that no version names.
//
// # What is on disk
//
// A dataset is a plain Delta Lake table (reader version 1, writer version 2):
//
//	churn/_delta_log/00000000000000000001.json    version 1
//	churn/_refs/data/<sha256>.parquet             immutable, named by content
//	churn/_mlops/commits/<id>.json                lineage and profile of a commit
//
// So Python reads any version without Millwright:
//
//	deltalake.DeltaTable("/data/lake/churn", version=1).to_pandas()
//
// Python may append to main as well, with delta-rs: what it commits is a version
// like any other, and the next write from here adopts its files (see
// [Branch.Adopt]). Versions that use what a Delta reader of version 1 does not
// know are refused with ErrUnsupported, the ones before stay readable.
//
// The log is read from its newest checkpoint, so that opening a table costs the
// same after ten commits and after ten thousand; checkpoints are written every
// ten commits, in Delta's form, and nothing depends on them but speed.
//
// # Changing a table
//
// [Branch.Append], [Branch.Overwrite], [Branch.Delete], [Branch.Evolve] and
// [Branch.Restore] each make one version. A commit that another writer overtook
// is repeated behind it; it is a [ConflictError] only when files that it
// replaces were replaced meanwhile, or the schema was changed under it. Rows are
// deleted by writing the files that hold them anew, so that every engine reads
// the result. [Branch.Log] and [Branch.At] go back in time.
//
// # Reading
//
// [Version.Read] checks the SHA-256 of what it fetches before it delivers its
// rows, and reports a [CorruptError] that names the file instead of training on
// damaged data. With ReadOptions.Columns and Where it fetches only the parts of
// the files that can matter, and checks each part by itself. [Version.Groups] and
// [Version.ReadGroups] deal out row groups to workers. [Version.Profile] gives
// column statistics without reading rows. [Bucket] splits rows by key in a way
// that DuckDB and Spark can repeat. Package dataset/ingest reads CSV, JSON Lines, Parquet and Arrow files, to
// import them.
//
// # Expectations
//
// [Branch.SetExpectations] keeps with the table what its rows shall be: types,
// ranges, sets, patterns, nulls, uniqueness, freshness, drift from an earlier
// version. The rows of every later Append and Overwrite are held against it while
// they are written; rows that fail are refused with a [ValidationError] that
// shows some of them, and [Version.Validation] is the report on those that passed.
// What a Merge or a Restore brings is held against it too, and what a Delete leaves
// against what is said of the whole version.
//
// # Keeping house
//
// [Dataset.Collect] deletes what no kept version needs, beside any number of
// writers. [Dataset.Erase] takes a person's rows out of every version. [Branch.Compact]
// joins small files. [Dataset.Verify] finds damage. Package dataset/datasettest
// checks all of it on a store of yours.
//
// # Arrow versions
//
// The API speaks github.com/apache/arrow/go/v15. Parquet is read and written by
// arrow-go v18 inside, which writes columns with nulls several times faster and
// has fixes that v15 never got; records cross between the two without a copy.
// Package dataset/arrow18 is the same reader and writer in v18 types.
// Do not import v15's own parquet package in the same program: the two Parquet
// packages define the same symbols and do not link together.
package dataset
