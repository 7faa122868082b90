package registry

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Store keeps the records: models, versions, aliases and the audit log. It
// stores and fetches; all checking is done by the Registry before.
//
// The contract for implementations, which registrytest.Run verifies:
//   - Methods may be called from many goroutines, and several Stores, in this
//     or other processes, may be open on one database.
//   - Each writing method is one transaction: all of it or nothing is visible,
//     to everyone at once, and once it has returned nil it survives a kill of
//     the process.
//   - Arguments were validated: names, aliases and numbers follow the package's
//     rules, times are UTC and whole microseconds. Arguments are neither kept
//     nor changed; results belong to the caller.
//   - Empty slices, maps and JSON come back as nil.
//   - Errors wrap the kinds named below, or ErrClosed, ErrUnavailable; their
//     text carries no operation and no subject, the Registry adds both.
//   - Answers come in pages. A page may hold fewer entries than asked for; the
//     end is an empty next token and nothing else. A token is opaque, belongs
//     to its query and stays usable while others write; a damaged one, or that
//     of another query, is ErrInvalid.
//   - Filter and OrderBy are those of package tracking/search,
//     RegisteredModels and ModelVersions; ErrInvalid when one does not parse.
//     MLflow keeps prompts as models with the tag PromptTag. A search without
//     an exact Name leaves out what has that tag with the value "true", unless
//     its filter speaks of the tag; in such a filter an absent tag is "false".
type Store interface {
	// CreateModel stores Name, Description, Tags and Created of m. ErrExists
	// when the name is taken, also by a deleted model.
	CreateModel(ctx context.Context, m Model) (Model, error)

	// UpdateModel changes what u sets, all or nothing, and appends an Entry
	// when it renames (with RenamedFrom as its Evidence), deletes or restores. Versions, aliases and history stay
	// with a renamed model. ErrNotFound when there is no such model, when it
	// is deleted and u does not restore it, or has no tag to delete; ErrExists
	// when the new name is taken.
	UpdateModel(ctx context.Context, name string, u ModelUpdate) error

	// SearchModels returns the models that q selects, with their aliases, and
	// with their latest versions when q asks for them.
	SearchModels(ctx context.Context, q ModelQuery) (page []Model, next string, err error)

	// CreateVersion adds v to the model v.Name, which it creates if need be,
	// under the number that follows the highest one ever given out in the
	// model; v.Number, v.Aliases and v.Updated are ignored. When v.Key is not
	// empty and a version of the model has that key already, nothing is
	// written but the end of the lease, and that version is returned instead,
	// whatever its content. lease, unless empty, is ended in the same
	// transaction, see Collector; ErrConflict when it does not hold all digests
	// of v's files, because its time was up and a collector ended it.
	// ErrNotFound when the model is deleted.
	CreateVersion(ctx context.Context, v *Version, lease string) (*Version, error)

	// UpdateVersion changes what u sets, all or nothing, and appends an Entry
	// when it deletes, restores or changes the stage. A deleted version loses
	// its aliases, each with an Entry. ErrNotFound when there is no such
	// version, when it or its model is deleted and u does not restore it, or
	// has no tag to delete.
	UpdateVersion(ctx context.Context, name string, number int, u VersionUpdate) error

	// Version returns one version, also a deleted one; ErrNotFound when there
	// is none, or its model is deleted.
	Version(ctx context.Context, name string, number int) (*Version, error)

	// SearchVersions returns the versions that q selects, those of deleted
	// models never.
	SearchVersions(ctx context.Context, q VersionQuery) (page []*Version, next string, err error)

	// Record appends e to the audit log with Seq, From, Prev and Hash filled
	// in by Entry.Seal, and returns it. An entry whose Kind moves an alias
	// does so in the same transaction: it sets e.Alias of the model e.Name to
	// version e.To, or deletes it when e.To is 0. It checks first that an
	// active version e.To exists, else ErrNotFound; then that the alias is
	// where expect says (0: it does not exist; -1: anywhere or nowhere; n: at
	// version n), else ErrConflict and an Entry whose From is where the alias
	// is, 0 for nowhere. An alias that is at e.To already is no move: nothing
	// is written, and the Entry comes back with Seq 0 and no error.
	Record(ctx context.Context, e Entry, expect int) (Entry, error)

	// Aliases returns at most limit aliases of the model in byte order, those
	// after the given one; "" starts at the first. With alias not empty it
	// returns that one or none.
	Aliases(ctx context.Context, name, alias, after string, limit int) ([]Alias, error)

	// Audit returns the entries that q selects.
	Audit(ctx context.Context, q AuditQuery) ([]Entry, error)
}

// Notifier is a Store that tells of new audit entries without being asked
// again and again. Watch polls the others.
type Notifier interface {
	// Wait returns the highest Seq as soon as it is above after, or the
	// context's error.
	Wait(ctx context.Context, after int64) (seq int64, err error)
}

// Purger is a Store that forgets for good. Only what is deleted can be purged;
// ErrInvalid when it is active, ErrNotFound when it is not there. Each appends
// an Entry with by.
type Purger interface {
	PurgeVersion(ctx context.Context, name string, number int, by string) error
	// PurgeModel removes the model with all its versions and frees its name.
	PurgeModel(ctx context.Context, name, by string) error
}

// Collector is a Store that knows which objects are needed, so that the others
// can be removed while uploads run. digests are SHA-256 in hex.
//
// An uploader leases the digests before it looks whether their objects exist,
// and CreateVersion ends the lease. A collector condemns what neither a version
// nor a live lease names, deletes those objects, and clears them. So an object
// is never deleted between an uploader's look and its version.
type Collector interface {
	// Lease adds the digests to what token needs, and prolongs all of its
	// lease until then. Those that are condemned are returned, and then nothing
	// changed: the uploader waits for Cleared and tries again.
	Lease(ctx context.Context, token string, digests []string, until time.Time) (condemned []string, err error)
	// Condemn marks for token, until then, those of the digests that no
	// version, deleted or not, and no lease after now names, and that no other
	// token has marked. Marks that ended before now, of collectors that died,
	// pass to token whatever their digests, at most 500 at a time. All that
	// passed to token is returned. Leases that ended before now are forgotten,
	// so that their uploads fail. Only token may delete those objects, and
	// only well before its time is up.
	Condemn(ctx context.Context, token string, digests []string, now, until time.Time) (doomed []string, err error)
	// Cleared removes the marks of token.
	Cleared(ctx context.Context, token string, digests []string) error
}

// Files keeps the bytes under keys of the form "sha256/<two hex>/<hex>". Every
// store of dataset/blob satisfies it.
//
// A Files that also has
//
//	Put(ctx context.Context, key string, body io.Reader, size int64) error
//
// which writes a key even when it exists, lets Register mend an object that it
// finds damaged; without it such a Register fails with a *DigestError. One
// that has List and Delete, as FileLister, can be collected.
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

// FileLister is the part of Files that Collect needs.
type FileLister interface {
	// List yields the keys with the prefix in byte order; Name of the FileInfo
	// is the key, ModTime when it was written.
	List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error]
	// Delete removes key; an absent one is no error.
	Delete(ctx context.Context, key string) error
}

// putter is the optional part of Files that mends.
type putter interface {
	Put(ctx context.Context, key string, body io.Reader, size int64) error
}

// objectKey is where a file with this SHA-256 lies.
func objectKey(sum string) string { return "sha256/" + sum[:min(2, len(sum))] + "/" + sum }
