package loader

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// The order of rows is a function of numbers and must stay what it is over
// releases and Go versions: tokens and training runs depend on it. So the
// generator is PCG, whose stream is specified, and the shuffle is written out.

// What a permutation is of.
const (
	ofGroups = "groups"
	ofRows   = "rows"
)

// generator is the source of the permutation of what in an epoch; the seeds of
// two permutations have nothing in common.
func generator(seed uint64, epoch int64, what string, n int) *rand.PCG {
	b := append(make([]byte, 0, 64), "millwright loader 1 "...)
	b = append(b, what...)
	b = binary.BigEndian.AppendUint64(b, seed)
	b = binary.BigEndian.AppendUint64(b, uint64(epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(n))
	sum := sha256.Sum256(b)
	return rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16]))
}

// permute shuffles list after Fisher and Yates. The bias of the multiplication
// is below len(list)/2^64.
func permute[T any](list []T, r *rand.PCG) {
	for i := len(list) - 1; i > 0; i-- {
		j, _ := bits.Mul64(r.Uint64(), uint64(i)+1)
		list[i], list[j] = list[j], list[i]
	}
}
