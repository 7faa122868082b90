package blob

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// Hashed is a body in memory whose SHA-256 is known: a store that has to sign or
// check what it sends takes the hash and the bytes as they are. It is an
// [io.Reader] for any store, good for one write. Create it with [NewHashed].
type Hashed struct {
	bytes.Reader
	data []byte
	sum  [sha256.Size]byte
}

// NewHashed returns the body of data with its SHA-256. A wrong one is found by
// the store's server, not here. Data must not change before the write ends.
func NewHashed(data []byte, sum [sha256.Size]byte) *Hashed {
	h := &Hashed{data: data, sum: sum}
	h.Reset(data)
	return h
}

// Bytes are the whole body, whatever was read of it.
func (h *Hashed) Bytes() []byte { return h.data }

// Sum is the SHA-256 of the whole body.
func (h *Hashed) Sum() [sha256.Size]byte { return h.sum }

var _ io.Reader = (*Hashed)(nil)
