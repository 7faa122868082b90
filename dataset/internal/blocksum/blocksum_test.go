package blocksum_test

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/blocksum"
)

// reference is the definition.
func reference(part []byte) blocksum.Digest {
	h := sha256.New()
	for len(part) > 0 {
		n := min(len(part), 16<<10)
		sum := sha256.Sum256(part[:n])
		h.Write(sum[:])
		part = part[n:]
	}
	return blocksum.Digest(h.Sum(nil))
}

func random(seed uint64, n int) []byte {
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	out := make([]byte, n)
	_, _ = src.Read(out)
	return out
}

func TestSums(t *testing.T) {
	t.Parallel()
	var parts [][]byte
	for i, n := range []int{0, 1, 63, 64, 16<<10 - 1, 16 << 10, 16<<10 + 1, 3 << 14, 15 << 14, 16 << 14, 17<<14 + 5, 100_000, 1 << 20, 0, 33 << 14} {
		parts = append(parts, random(uint64(i), n))
	}
	out := make([]blocksum.Digest, len(parts))
	blocksum.Sums(out, parts)
	for i, p := range parts {
		require.Equal(t, reference(p), out[i], "part of %d bytes among others", len(p))
		require.Equal(t, out[i], blocksum.Sum(p), "part of %d bytes alone", len(p))
	}
	blocksum.Sums(nil, nil)
}

func TestSumFindsEveryBit(t *testing.T) {
	t.Parallel()
	part := random(7, 20<<14+100)
	want := blocksum.Sum(part)
	r := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		at, bit := r.IntN(len(part)), byte(1)<<r.IntN(8)
		part[at] ^= bit
		require.NotEqual(t, want, blocksum.Sum(part), "byte %d", at)
		part[at] ^= bit
	}
	require.Equal(t, want, blocksum.Sum(part))
}

func FuzzSums(f *testing.F) {
	f.Add(uint64(1), 5<<14, 70_000)
	f.Add(uint64(2), 16<<14, 1)
	f.Fuzz(func(t *testing.T, seed uint64, a, b int) {
		if a < 0 || b < 0 || a > 1<<20 || b > 1<<20 {
			t.Skip()
		}
		parts := [][]byte{random(seed, a), random(seed+1, b)}
		out := make([]blocksum.Digest, 2)
		blocksum.Sums(out, parts)
		require.Equal(t, reference(parts[0]), out[0])
		require.Equal(t, reference(parts[1]), out[1])
	})
}

func BenchmarkSum(b *testing.B) {
	part := random(1, 8<<20)
	b.SetBytes(int64(len(part)))
	for b.Loop() {
		blocksum.Sum(part)
	}
}

func BenchmarkSHA256(b *testing.B) {
	part := random(1, 8<<20)
	b.SetBytes(int64(len(part)))
	for b.Loop() {
		sha256.Sum256(part)
	}
}
