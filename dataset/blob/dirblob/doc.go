// Package dirblob keeps objects as files in a folder of the local file system.
//
// A key is the file's path below the folder, so other tools read the objects as
// they are. Everything goes through an [os.Root]: no key and no symbolic link in
// the folder leads outside it.
//
// # Durability
//
// An object is written to a temporary file in the folder ".tmp", flushed to the
// disk, and then given its name in one step: by a hard link for Create, which
// fails when the name is taken whichever process took it, and by a rename for
// Put. The folders on the way are flushed too. A process killed at any moment
// leaves either the whole object or none; the temporary file it may leave behind
// is never listed and is swept by a later [Open].
//
// Swap compares and replaces under an advisory lock of the system, one of a few
// files in ".tmp" that stay there, which Put and Delete take too: it is atomic
// among all processes that use this package. A killed process leaves no lock
// behind. Where the system or the file system has no such locks (Windows) Swap is a
// [blob.ErrUnsupported].
//
// # Limits
//
// The first segment of a key cannot be ".tmp". A key cannot be both an object
// and the folder of another. The file system must know hard links, as all usual
// local ones do; where it folds the case of names, keys that differ only in case
// are one key.
//
// The package links the standard library only.
package dirblob
