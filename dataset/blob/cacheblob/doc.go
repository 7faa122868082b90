// Package cacheblob keeps the data files of datasets in a local folder, so that
// the second epoch, and the other processes of the machine, read them from the
// disk instead of the store.
//
//	store, err := s3blob.Open(ctx, "s3://lake", nil)
//	cached, err := cacheblob.Open(store, "/var/cache/lake", nil)
//	catalog := dataset.New(cached, nil)
//
// A [Store] is a blob.Store in front of another. It keeps the objects whose
// names say their content, "<sha256>.parquet", as all data files of package
// dataset are called: such an object never changes, so a copy is never stale.
// Everything else passes through.
//
// An object is fetched whole when the first byte of it is asked for, and is
// kept only if its SHA-256 is the one of its name. Any number of processes may
// share the folder; of those that miss an object at the same time one fetches
// it. A process verifies a file that it finds when it opens it for the first
// time, and fetches it again when it was damaged.
//
// A cache never makes a read fail that would succeed without it: when the disk
// is full or the folder is gone, the store is read directly, and [Store.Stats]
// counts and shows it.
//
// The folder holds copies of the data: whoever may read it may read them. An
// object that is deleted through the Store leaves the folder too; one that is
// deleted elsewhere, as an erase on another machine does, stays until its turn
// to make room comes or the folder is removed, which is safe at any time.
package cacheblob
