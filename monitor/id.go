package monitor

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// ID names one prediction, so that its label finds it later. The zero ID says
// that no label will come: such a prediction is counted and not kept.
type ID [16]byte

// NewID returns the id of one row of a request. It is the 128-bit MurmurHash3
// (x64, seed 0, both halves big-endian) of the request's id, with the row's
// number XORed into the last 8 bytes: the same on every machine, and easy to
// compute elsewhere from the two columns of an inference log. Row 0 of the
// empty request is the zero ID. It allocates nothing.
//
// The hash keeps ids apart that differ, however alike they are. It does not
// keep out a client that wants to meet another's id; nor would a better one,
// since clients may choose the ids of their requests.
func NewID(request string, row int) ID {
	h1, h2 := murmur(request)
	var id ID
	binary.BigEndian.PutUint64(id[:8], h1)
	binary.BigEndian.PutUint64(id[8:], h2)
	return id.Row(row)
}

// Row returns the id of another row of the same request, where id is that of
// row 0: NewID(r, n) == NewID(r, 0).Row(n), without hashing again.
func (id ID) Row(row int) ID {
	last := binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(id[8:], last^uint64(row))
	return id
}

// String returns the id as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// murmur is MurmurHash3_x64_128 with seed 0 (Appleby 2011, public domain).
func murmur(s string) (h1, h2 uint64) {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	size := uint64(len(s))
	for ; len(s) >= 16; s = s[16:] {
		h1 ^= bits.RotateLeft64(word(s[:8])*c1, 31) * c2
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= bits.RotateLeft64(word(s[8:16])*c2, 33) * c1
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	if len(s) > 8 {
		h2 ^= bits.RotateLeft64(word(s[8:])*c2, 33) * c1
		s = s[:8]
	}
	h1 ^= bits.RotateLeft64(word(s)*c1, 31) * c2
	h1 ^= size
	h2 ^= size
	h1 += h2
	h2 += h1
	h1, h2 = avalanche(h1), avalanche(h2)
	h1 += h2
	h2 += h1
	return h1, h2
}

// word reads up to 8 bytes, little-endian.
func word(s string) (w uint64) {
	if len(s) == 8 { // The compiler makes one load of it.
		return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	}
	for i := range len(s) {
		w |= uint64(s[i]) << (8 * i)
	}
	return w
}

func avalanche(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
