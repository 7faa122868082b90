// Package registry keeps trained models as numbered versions that never change,
// and names the ones in use by aliases.
//
// A [Registry] is the one door: it checks what comes in, addresses files by
// their content, and hands a version's files back only after they were
// verified. Behind it stand a [Store] for the records (registry/sqlstore keeps
// them in SQLite) and [Files] for the bytes (every store of dataset/blob
// fits: memory, a folder, an S3 bucket). This package links the standard
// library alone.
//
// # Registering
//
// [Registry.Register] takes a [Draft]: an [io/fs.FS] with the model's files and
// what is known about them (signature, framework, the run and the dataset
// versions it came from, metrics, tags, the reference profile for drift). Each
// file is stored once under "sha256/<first two hex digits>/<hex>", so versions
// share what they have in common. The version appears in a single transaction
// at the end and takes the next free number, which is never given out twice:
// a process killed half way leaves nothing but objects that no version names.
// A Draft with a Key may be registered again after such a kill: the version
// made the first time is returned.
//
// # Finding
//
// A reference is "fraud/3" (a version) or "fraud@champion" (an alias):
// [Registry.Resolve] turns either into a [Version]. Versions, models, aliases
// and their histories are walked with range-over-func iterators that fetch
// page by page.
//
// # Loading
//
// [Registry.Open] gives an [io/fs.FS] of a version's files. No byte leaves it
// before the whole file has been compared with the SHA-256 that was recorded
// at registration; a damaged, replaced or missing file is a [*DigestError].
//
// # Promoting
//
// [Registry.SetAlias] moves an alias by compare-and-swap: the caller states
// where the alias must be, and of several callers who saw the same state one
// wins, the others get a [*ConflictError]. Every move is kept with who made
// it, when, why and on what evidence: [Registry.History].
//
// # Lifetime
//
// A Registry is a plain value: it starts no goroutine, has nothing to close
// and may be used from many goroutines. The Store and the Files belong to the
// caller, who closes them after the last use.
package registry
