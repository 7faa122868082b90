//go:build !purego

package blocksum

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// parallel tells whether the processor can hash blocks side by side.
var parallel = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// compress takes n times 64 bytes of each lane into the state, whose first index
// is the word and the second the lane. It only reads through lanes.
//
//go:noescape
func compress(state *[8][lanes]uint32, from *[lanes]*byte, n int, k *[64]uint32)

// hash hashes the blocks of a batch; lanes without one repeat the first.
func (b *batch) hash() {
	var state [8][lanes]uint32
	for w, v := range initial {
		for i := range state[w] {
			state[w][i] = v
		}
	}
	var from [lanes]*byte
	for i := range from {
		at := i
		if i >= b.n {
			at = 0
		}
		from[i] = &b.blocks[at][0]
	}
	compress(&state, &from, blockBytes/64, &constants)
	for i := range from {
		from[i] = &padding[0]
	}
	compress(&state, &from, 1, &constants)
	for i, sum := range b.sums[:b.n] {
		for w := range state {
			binary.BigEndian.PutUint32(sum[4*w:], state[w][i])
		}
	}
}

// padding is the last 64 bytes that SHA-256 hashes of a whole block: its mark
// and its length in bits.
var padding = func() (p [64]byte) {
	p[0] = 0x80
	binary.BigEndian.PutUint64(p[56:], blockBytes*8)
	return p
}()
