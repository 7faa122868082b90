// Package registry keeps trained models as numbered versions that never change,
// and names the ones in use by aliases: which model runs where, why it was
// allowed to, and what it was made from.
//
// A [Registry] is the one door: it checks what comes in, addresses files by
// their content, and hands a version's files back only after they were
// verified. Behind it stand a [Store] for the records (registry/sqlstore keeps
// them in SQLite or PostgreSQL) and [Files] for the bytes (every store of
// dataset/blob fits: memory, a folder, an S3 bucket). This package links the
// standard library alone.
//
//	store, err := sqlstore.Open(ctx, "sqlite:registry.db", nil)
//	files, err := dirblob.Open("registry-files")
//	reg := registry.New(store, files, nil)
//
// # Registering
//
// [Registry.Register] takes a [Draft]: an [io/fs.FS] with the model's files and
// what is known about them (signature, framework, the run and the dataset
// versions it came from, code, metrics, tags, golden inputs with their outputs,
// the reference profile for drift). Each file is stored once under
// "sha256/<first two hex digits>/<hex>", so versions share what they have in
// common. The version appears in a single transaction at the end and takes the
// next free number, which is never given out twice: a process killed half way
// leaves nothing but objects that no version names. A Draft with a Key may be
// registered again after such a kill: the version made the first time is
// returned.
//
// The files may come from an archive or a folder that others can write to:
// paths that leave it, links and devices are refused. For such a folder take
// [os.Root.FS]; [os.DirFS] follows a link that appears between the listing and
// the reading.
//
// # Finding
//
// A reference is "fraud/3" (a version) or "fraud@champion" (an alias):
// [Registry.Resolve] turns either into a [Version]. Models, versions, aliases
// and their histories are walked with range-over-func iterators that fetch page
// by page. [Registry.SearchModels] and [Registry.SearchVersions] take filters
// in MLflow's language, see package tracking/search.
//
// # Loading
//
// [Registry.Open] gives an [io/fs.FS] of a version's files. No byte leaves it
// before the whole file has been compared with the SHA-256 that was recorded at
// registration; a damaged, replaced or missing file is a [*DigestError]. With
// [Options].CacheDir what was opened before is opened again without fetching
// it. [Registry.Watch] tells a server when an alias moves.
//
// # Promoting
//
// [Registry.Promote] moves an alias if every [Gate] passes: metrics within
// bounds or better than the champion's on the same dataset version, a
// compatible signature, golden outputs reproduced, approvals, a func of your
// own. Of several promotions at once that saw the same champion one wins, the
// others get a [*ConflictError] that says where the alias is. A refusal is a
// [*RefusedError] with the numbers. [Registry.Rollback] goes back a step.
// [Registry.SetAlias] moves an alias without gates, by compare-and-swap too.
// The command examples/promote brings it into CI.
//
// # Proof
//
// Every move, refusal, approval, deletion and renaming is an [Entry] of one log
// to which is only appended, with who, when, why and the evidence;
// [Registry.History] reads it. Each entry carries the hash of the one before.
// [Registry.VerifyAudit] checks the chain, and that the store is as the log
// tells: an alias that was moved in the database, files that were exchanged
// under a version that had been judged, an entry that was hidden are found.
// Whoever controls the database can still write a new log from the beginning,
// or cut off its end: keep the [AuditHead] of each check elsewhere, and pass it
// to the next.
//
// [Registry.Sign] adds a signature of a version's files to it, and
// [Options].Trust opens signed versions only. [Envelope.Bundle] gives the file
// that Sigstore's model-signing verifies. [Registry.Lineage] draws what a
// version was made from, and where it is used.
//
// # Removing
//
// Deleted models and versions are hidden and can be restored until they are
// purged: [Registry.UpdateModel], [Registry.UpdateVersion],
// [Registry.PurgeModel], [Registry.PurgeVersion]. [Registry.Collect] then
// removes the objects that nothing names any more, also while others upload.
// Approvals and promotions stay with the model, not with its name: another
// model that gets the name starts without them.
//
// # Lifetime
//
// A Registry is a plain value: it starts no goroutine, has nothing to close
// and may be used from many goroutines. The Store and the Files belong to the
// caller, who closes them after the last use.
package registry
