package blob

import (
	"context"
	"io"
	"io/fs"
	"iter"
)

// Store is where bytes live. Implementations are safe for concurrent use, and
// pass package blobtest.
//
// Keys follow [ValidateKey]. A key must not be both an object and the folder of
// another ("a" and "a/b"): folders cannot hold that and some S3 servers refuse
// it, so a store may refuse the second writer with [fs.ErrInvalid].
//
// Errors are *[fs.PathError] values with the operation and the key. When ctx
// ends first the error wraps ctx.Err(), and a write has then either happened
// whole or not at all.
type Store interface {
	// Create writes key only if it is absent, and reports [fs.ErrExist] when it
	// is there already; of racing creators exactly one succeeds. The object
	// appears whole or not at all, and is durable when Create returns nil.
	//
	// size is the exact length of body in bytes, or -1 when it is unknown. A body
	// that is shorter or longer than size is an [fs.ErrInvalid] and writes
	// nothing. How much of body was read when an error returns is unspecified.
	Create(ctx context.Context, key string, body io.Reader, size int64) error

	// Put writes key, replacing what was there. A reader sees the old object or
	// the new one, never a mixture. Size is as for Create.
	Put(ctx context.Context, key string, body io.Reader, size int64) error

	// Get opens n bytes of the object from byte off; n < 0 means to the end. A
	// range that reaches past the end is cut there, and off may equal the length.
	// [fs.ErrNotExist] when key is absent, [fs.ErrInvalid] when off is negative
	// or past the end. The caller closes the reader.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Stat describes the object; Name() is the full key. [fs.ErrNotExist] when
	// key is absent.
	Stat(ctx context.Context, key string) (fs.FileInfo, error)

	// List yields the objects whose keys start with prefix, recursively and in
	// byte order of the keys; Name() is the full key. The prefix is a plain
	// string and need not end at a slash. Objects written or deleted meanwhile
	// may or may not appear. An error ends the sequence.
	List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error]

	// Delete removes key. That it is absent already is not an error.
	Delete(ctx context.Context, key string) error
}
