package blocksum

import "crypto/sha256"

// blockBytes is a part of the format: files carry digests made with it.
const blockBytes = 16 << 10

// lanes is how many blocks are hashed side by side.
const lanes = 16

// few is how many blocks are still faster one after the other.
const few = 3

// Digest is the digest of one part.
type Digest = [sha256.Size]byte

// Sum is the digest of one part.
func Sum(part []byte) Digest {
	var out [1]Digest
	Sums(out[:], [][]byte{part})
	return out[0]
}

// Sums fills out with the digests of parts. Blocks of all parts share the lanes,
// so that asking for many parts at once is faster than one by one.
func Sums(out []Digest, parts [][]byte) {
	total := 0
	for _, p := range parts {
		total += count(p)
	}
	sums := make([]Digest, total)
	var full batch
	at := 0
	for _, p := range parts {
		for n := count(p); n > 0; n-- {
			if len(p) < blockBytes {
				sums[at] = sha256.Sum256(p)
			} else {
				full.add(p[:blockBytes], &sums[at])
				p = p[blockBytes:]
			}
			at++
		}
	}
	full.flush()
	at = 0
	for i, p := range parts {
		h := sha256.New()
		n := count(p)
		for k := range sums[at : at+n] {
			_, _ = h.Write(sums[at+k][:])
		}
		at += n
		h.Sum(out[i][:0])
	}
}

func count(part []byte) int { return (len(part) + blockBytes - 1) / blockBytes }

// batch collects whole blocks.
type batch struct {
	blocks [lanes][]byte
	sums   [lanes]*Digest
	n      int
}

func (b *batch) add(block []byte, sum *Digest) {
	b.blocks[b.n], b.sums[b.n] = block, sum
	if b.n++; b.n == lanes {
		b.flush()
	}
}

func (b *batch) flush() {
	if b.n > few && parallel {
		b.hash()
	} else {
		for i, block := range b.blocks[:b.n] {
			*b.sums[i] = sha256.Sum256(block)
		}
	}
	b.n = 0
}
