package rollout

import "math/bits"

// Buckets is how finely traffic is split: each key falls into one of so many.
const Buckets = 10_000

// The primes of XXH64.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// Splitter puts keys into buckets. Two Splitters of one salt agree, in every
// process and on every machine; those of different salts are independent of each
// other, so that one experiment's users are not another's. Make it with
// NewSplitter.
type Splitter struct{ seed uint64 }

// NewSplitter returns the splitter of a salt, which is the name of an
// experiment unless it says otherwise.
func NewSplitter(salt string) Splitter { return Splitter{seed: xxh64(salt, 0)} }

// Bucket returns the key's bucket, from 0 to Buckets-1. It is the remainder of
// the 64-bit xxHash of the key, seeded with that of the salt: in Python
//
//	xxhash.xxh64_intdigest(key, seed=xxhash.xxh64_intdigest(salt)) % 10000
func (s Splitter) Bucket(key string) int { return int(xxh64(key, s.seed) % Buckets) }

func round(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*prime2, 31) * prime1
}

func fold(h, acc uint64) uint64 { return (h^round(0, acc))*prime1 + prime4 }

// load64 and load32 read little-endian numbers; the compiler makes one load of
// each.
func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// xxh64 is XXH64 of the xxHash specification, version 0.2. The standard library
// has no hash that is fast, documented and the same in every process.
func xxh64(s string, seed uint64) uint64 {
	n := uint64(len(s))
	h := seed + prime5
	if len(s) >= 32 {
		a, b, c, d := seed+prime1+prime2, seed+prime2, seed, seed-prime1
		for len(s) >= 32 {
			a = round(a, load64(s))
			b = round(b, load64(s[8:]))
			c = round(c, load64(s[16:]))
			d = round(d, load64(s[24:]))
			s = s[32:]
		}
		h = bits.RotateLeft64(a, 1) + bits.RotateLeft64(b, 7) + bits.RotateLeft64(c, 12) + bits.RotateLeft64(d, 18)
		h = fold(fold(fold(fold(h, a), b), c), d)
	}
	h += n
	for len(s) >= 8 {
		h = bits.RotateLeft64(h^round(0, load64(s)), 27)*prime1 + prime4
		s = s[8:]
	}
	if len(s) >= 4 {
		h = bits.RotateLeft64(h^load32(s)*prime1, 23)*prime2 + prime3
		s = s[4:]
	}
	for i := range len(s) {
		h = bits.RotateLeft64(h^uint64(s[i])*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
