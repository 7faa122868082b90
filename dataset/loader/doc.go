// Package loader reads a version of a dataset for training: shuffled, split,
// dealt out to ranks, and resumable at the exact row.
//
//	l, err := loader.New(ctx, version, &loader.Options{
//		Columns: []string{"age", "spend", "churned"},
//		Split:   &loader.Split{Seed: "v1", Key: []string{"customer"}, To: 800_000},
//		Shuffle: true, Seed: 42,
//	})
//	for epoch := range int64(10) {
//		s, err := l.Shard(loader.Shard{Epoch: epoch, Rank: rank, World: world})
//		for rec, err := range s.Records(ctx) {
//			…
//			checkpoint.Data = s.Token()
//		}
//	}
//
// # Order
//
// The order of the rows is computed from the seed, the epoch and the content of
// the version, and from nothing else: no state is carried from row to row, equal
// content gives an equal order in whatever store it is, and it stays the same
// over releases.
//
// The row groups of all files are put in a random order and dealt out to the
// ranks in rounds; the few that are left over are divided by rows. A rank reads
// Window of its groups at a time and mixes all their rows. So every row comes
// once an epoch, to one rank, and a record has rows of Window places of the
// dataset. Rows that were written together still come within the same window:
// where that matters, make the window larger, or shuffle once before the commit.
//
// # Resuming
//
// [Stream.Token] is a few bytes to keep in a checkpoint. [Loader.Resume] goes on
// with the row behind the last record, which costs the reading of one window
// wherever it is. A token fits only the version and the settings that it was
// made with. [Loader.Reshard] lets another number of ranks finish the epoch.
//
// # Splits
//
// A [Split] keeps the rows whose key falls in a range of buckets. Which side a
// row is on depends on its key only, so a holdout stays a holdout over all
// versions to come, and DuckDB and Spark can tell the same rows apart in SQL.
//
// # Caching
//
// Put package dataset/blob/cacheblob between the catalog and a remote store, and
// the second epoch reads from the local disk. Package dataset/feed serves
// streams over HTTP, dataset/flight with Arrow Flight.
package loader
