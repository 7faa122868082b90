// Package s3blob keeps objects in an S3 bucket: AWS, MinIO, versitygw and every
// other server whose conditional writes work.
//
//	s, err := s3blob.Open(ctx, "s3://bucket/prefix", &s3blob.Options{
//		Endpoint:    "http://127.0.0.1:9000", // "" for AWS
//		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
//	})
//
// # Conditional writes
//
// A create is a PUT with If-None-Match, a swap one with If-Match: the server
// decides. Some servers ignore these headers, and some heed them only of writers
// that come one after the other; [Open] finds out, with writers that race for
// scratch objects, and refuses a store that lets two creators win. A store that
// fails at If-Match alone opens, and its Swap reports [blob.ErrUnsupported]. The
// verdict is kept below ".millwright-probe/" in the prefix, for a month and for
// this server, so that a later Open takes one request. Lists leave that folder
// out.
//
// Each write also carries a random mark in the object's metadata
// (millwright-create): when an answer is lost on the way and the repeated request
// is refused, the mark tells whether the object is this writer's own, so that a
// create that won never reports that it lost.
//
// # Bodies
//
// Up to 8 MiB go in one PUT, as do bodies in memory of known hash
// ([blob.Hashed]) of up to 64 MiB, which are neither copied nor hashed again.
// Others go in parts of at least 8 MiB, four in flight, and a write holds at most
// five in memory, from a pool that the store's writes share. A body of known size
// may have 5 TiB; one of unknown size 78 GiB (10,000 parts of 8 MiB). Parts of a
// writer that was killed stay in the bucket, in no listing: let a lifecycle rule
// abort old multipart uploads. Every request is signed over the SHA-256 of what
// it sends, which the server checks; Options.Checksum adds one that the server
// keeps.
//
// A body that is read and breaks off is asked for again from where it stopped, if
// the object is still the same. [blob.ReadRange] and [blob.ReaderAt] read in
// several requests at a time.
//
// # Encryption
//
// Options.Encryption has the server encrypt (SSE-S3, SSE-KMS) or passes a key
// along with each request (SSE-C, which every reader then needs). Open writes an
// object to see that the server does it, and for SSE-C reads it back without the
// key; a server that ignores what it is asked to do is refused.
//
// # Errors
//
// A [Store] answers with the errors of [blob.Store]. Beside them: refused
// credentials are [fs.ErrPermission], a server that cannot be reached or is
// overloaded is [ErrUnavailable], and a missing bucket is [ErrNotFound] (not
// [fs.ErrNotExist], so that it is never taken for an absent key; only Stat cannot
// tell, as S3 answers a HEAD without a reason). Failed requests are repeated up to
// four times within about two seconds.
//
// The package links aws-sdk-go-v2. With Options.Credentials set nothing is read
// from the environment.
package s3blob
