package blocksum

import "github.com/zeebo/blake3"

// Digest is the digest of one part. It is a part of the format of files.
type Digest = [32]byte

// Sum is the digest of one part.
func Sum(part []byte) Digest { return blake3.Sum256(part) }

// Sums fills out with the digests of parts.
func Sums(out []Digest, parts [][]byte) {
	for i, p := range parts {
		out[i] = Sum(p)
	}
}
