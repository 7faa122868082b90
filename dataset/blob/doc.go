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
// [Sub] narrows a store to what lies below a prefix. [ReadAll] reads a small
// object under a bound.
//
// Errors are the standard library's: an absent key is [fs.ErrNotExist], a lost
// Create is [fs.ErrExist], bad input is [fs.ErrInvalid], each inside a
// [fs.PathError] that names the operation and the key.
//
// Signatures hold only standard types, so a package that needs some of this
// declares its own small interface and does not import blob. Package blobtest is
// the conformance kit for implementations; [Body], [NewInfo], [ValidateKey] and
// [ValidatePrefix] are the parts they share.
package blob
