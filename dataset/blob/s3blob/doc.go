// Package s3blob keeps objects in an S3 bucket: AWS, MinIO, versitygw and every
// other server whose conditional writes work.
//
//	s, err := s3blob.Open(ctx, "s3://bucket/prefix", &s3blob.Options{
//		Endpoint:    "http://127.0.0.1:9000", // "" for AWS
//		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
//	})
//
// # Create
//
// A create is a PUT with If-None-Match, which the server decides. Some servers
// ignore that header and let every writer win; [Open] finds out, by writing a
// scratch object twice, and refuses such a store. Each create also carries a
// random mark in the object's metadata (millwright-create): when an answer is
// lost on the way and the repeated request finds the key taken, the mark tells
// whether the object is this writer's own, so that a create that won never
// reports that it lost.
//
// # Bodies
//
// Up to 8 MiB go in one PUT. Larger ones go in parts of at least 8 MiB, four in
// flight, and a write holds at most five in memory. A body of known size may
// have 5 TiB; one of unknown size 78 GiB (10,000 parts of 8 MiB). Parts of a
// writer that was killed stay in the bucket, in no listing: let a lifecycle rule
// abort old multipart uploads. Every request is signed over the SHA-256 of what
// it sends, which the server checks.
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
