//go:build !amd64 || purego

package blocksum

// parallel is false: crypto/sha256 hashes one block after the other.
const parallel = false

func (b *batch) hash() {}
