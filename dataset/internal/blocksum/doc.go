// Package blocksum takes digests of large parts of files, many at a time.
//
// The digest of a part is the SHA-256 over the SHA-256s of its blocks of 16 KiB,
// of which the last may be shorter. Blocks do not depend on each other, so that
// sixteen of them are hashed side by side where the processor has AVX-512, which
// is several times faster than one after the other without instructions for
// SHA-256, and no slower with them. Everywhere else crypto/sha256 does the work.
package blocksum
