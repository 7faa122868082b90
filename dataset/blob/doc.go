// Package blob says where bytes live: a flat space of keys, each with an
// immutable-by-convention object, over a folder, an S3 bucket or memory.
//
// [Store] is the whole contract. Its commit primitive is Create, which writes a
// key only while it is absent: of any number of racing writers, in one process
// or in many, exactly one wins. Versioned tables, model files and run artifacts
// are all built on that one promise.
//
//	s, err := dirblob.Open("/var/lib/millwright")            // a folder
//	s, err := s3blob.Open(ctx, "s3://bucket/prefix", opts)   // S3, MinIO, …
//	s := new(blob.Mem)                                       // tests, examples
//
//	err = s.Create(ctx, "models/fraud/1/model.json", body, size)
//	data, err := blob.ReadAll(ctx, s, "models/fraud/1/model.json", 64<<20)
//
// What only some stores can do is a function that asks them: [Swap] compares and
// swaps by the [Tag] of an object, and [Copy] copies without moving the bytes
// through this process.
//
// [ReadAll] reads a small object under a bound, [ReadRange] a large one in
// several requests at a time, and [NewReaderAt] gives a reader at any offset that
// fetches announced ranges ahead, joined to few requests, under a [Budget] of
// memory. [Sub] narrows a store to what lies below a prefix.
//
// Errors are the standard library's: an absent key is [fs.ErrNotExist], a lost
// Create is [fs.ErrExist], bad input is [fs.ErrInvalid], each inside a
// [fs.PathError] that names the operation and the key. A lost Swap is an
// [ErrConflict].
//
// Signatures hold only standard types, so a package that needs some of this
// declares its own small interface and does not import blob. Package blobtest is
// the conformance kit for implementations, and blobtest/faults a store that fails
// as it is told; [Body], [NewInfo], [NewTaggedInfo], [NewReader], [ValidateKey]
// and [ValidatePrefix] are the parts that implementations share.
package blob
