// Package blocksum takes the digests of parts of files that readers check.
//
// They are BLAKE3, a cryptographic hash like SHA-256, and several times faster
// where the processor has no instructions for SHA-256: its tree of blocks of
// 1 KiB is hashed many blocks at a time.
package blocksum
