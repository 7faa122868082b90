package registry

import (
	"context"
	"io"
)

// Store keeps the records: models, versions, aliases and the moves of aliases.
// It stores and fetches; all checking is done by the Registry before.
//
// The contract for implementations, which registrytest.Run verifies:
//   - Methods may be called from many goroutines, and several Stores, in this
//     or other processes, may be open on one database.
//   - Each writing method is one transaction: all of it or nothing is visible,
//     to everyone at once, and once it has returned nil it survives a kill of
//     the process.
//   - Arguments were validated: names, aliases and numbers follow the package's
//     rules, times are UTC and whole microseconds, limit is at least 1.
//     Arguments are neither kept nor changed; results belong to the caller.
//   - Empty slices and maps of a Version and empty JSON come back as nil.
//   - Errors wrap the kinds named below, or ErrClosed, ErrUnavailable; their
//     text carries no operation and no subject, the Registry adds both.
type Store interface {
	// CreateVersion adds v to the model v.Name, which it creates if need be,
	// under the number that follows the highest one ever given out in the
	// model; v.Number and v.Aliases are ignored. When v.Key is not empty and a
	// version of the model has that key already, nothing is written and that
	// version is returned instead, whatever its content.
	CreateVersion(ctx context.Context, v *Version) (*Version, error)
	// Version returns one version; ErrNotFound when there is none.
	Version(ctx context.Context, name string, number int) (*Version, error)
	// Versions returns at most limit versions of the model, highest number
	// first, with numbers below before; before 0 starts at the highest. An
	// unknown model has none.
	Versions(ctx context.Context, name string, before, limit int) ([]*Version, error)
	// Models returns at most limit models in byte order of their names, with
	// names after the given one; "" starts at the first.
	Models(ctx context.Context, after string, limit int) ([]Model, error)

	// MoveAlias sets the alias m.Alias of the model m.Name to version m.To, or
	// deletes it when m.To is 0, and appends m to the history with Seq and
	// From filled in, which it returns. It checks first that the version m.To
	// exists, else ErrNotFound; then that the alias is where expect says (0: it
	// does not exist; -1: anywhere or nowhere; n: at version n), else
	// ErrConflict and a Move whose From is where the alias is, 0 for nowhere.
	// An alias that is at m.To already is no move: nothing is written, and
	// the Move comes back with Seq 0 and no error.
	MoveAlias(ctx context.Context, m Move, expect int) (Move, error)
	// Alias returns one alias; ErrNotFound when there is none.
	Alias(ctx context.Context, name, alias string) (Alias, error)
	// Aliases returns at most limit aliases of the model in byte order, those
	// after the given one; "" starts at the first.
	Aliases(ctx context.Context, name, after string, limit int) ([]Alias, error)
	// History returns at most limit moves of the model's alias, or of all its
	// aliases when alias is "", latest first, with Seq below before; before 0
	// starts at the latest.
	History(ctx context.Context, name, alias string, before int64, limit int) ([]Move, error)
}

// Files keeps the bytes under keys of the form "sha256/<two hex>/<hex>". Every
// store of dataset/blob satisfies it.
//
// A Files that also has
//
//	Put(ctx context.Context, key string, body io.Reader, size int64) error
//
// which writes a key even when it exists, lets Register mend an object that it
// finds damaged; without it such a Register fails with a *DigestError.
type Files interface {
	// Create writes key only if it is absent, atomically and durably, from a
	// body of exactly size bytes; an error that matches fs.ErrExist when the
	// key is there already. A body that fails writes nothing.
	Create(ctx context.Context, key string, body io.Reader, size int64) error
	// Get opens n bytes of key from off, to the end when n is negative and
	// fewer when the object is shorter; an error that matches fs.ErrNotExist
	// when the key is absent.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// putter is the optional part of Files.
type putter interface {
	Put(ctx context.Context, key string, body io.Reader, size int64) error
}

// objectKey is where a file with this SHA-256 lies.
func objectKey(sum string) string { return "sha256/" + sum[:min(2, len(sum))] + "/" + sum }
