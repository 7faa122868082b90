package blocksum_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/blocksum"
)

// TestSumIsBLAKE3 holds the digest to the test vectors of its specification:
// files carry it, so it must never change.
func TestSumIsBLAKE3(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{
		0:      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		1:      "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
		1023:   "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
		1024:   "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
		1025:   "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
		102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
	} {
		part := make([]byte, n)
		for i := range part {
			part[i] = byte(i % 251)
		}
		sum := blocksum.Sum(part)
		require.Equal(t, want, hex.EncodeToString(sum[:]), "%d bytes", n)
		var out [2]blocksum.Digest
		blocksum.Sums(out[:], [][]byte{nil, part})
		require.Equal(t, [2]blocksum.Digest{blocksum.Sum(nil), sum}, out)
	}
}

func TestSumFindsEveryBit(t *testing.T) {
	t.Parallel()
	part := make([]byte, 300_001)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range part {
		part[i] = byte(r.Uint32())
	}
	want := blocksum.Sum(part)
	for range 64 {
		at, bit := r.IntN(len(part)), byte(1)<<r.IntN(8)
		part[at] ^= bit
		require.NotEqual(t, want, blocksum.Sum(part), "byte %d", at)
		part[at] ^= bit
	}
	require.Equal(t, want, blocksum.Sum(part))
}

func BenchmarkSum(b *testing.B) {
	part := make([]byte, 8<<20)
	b.SetBytes(int64(len(part)))
	for b.Loop() {
		blocksum.Sum(part)
	}
}

func BenchmarkSHA256(b *testing.B) {
	part := make([]byte, 8<<20)
	b.SetBytes(int64(len(part)))
	for b.Loop() {
		sha256.Sum256(part)
	}
}
