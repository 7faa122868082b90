package pqfile

import (
	"bytes"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

const (
	// bloomFalse is the share of values that a Bloom filter takes for others.
	bloomFalse    = 0.01
	maxBloomBytes = 1 << 20
)

// filterOf makes the Bloom filter of n values, given in plain encoding.
func (c *chunkEncoder) filterOf(n int, value func(i int) []byte) {
	filter := metadata.NewBloomFilterFromNDVAndFPP(uint32(max(n, 1)), bloomFalse, maxBloomBytes, memory.DefaultAllocator)
	hasher := filter.Hasher()
	var hashes [256]uint64
	for i := 0; i < n; {
		k := 0
		for ; k < len(hashes) && i < n; k++ {
			hashes[k] = hasher.Sum64(value(i))
			i++
		}
		filter.InsertBulk(hashes[:k])
	}
	w := thriftWriter{}
	w.i32(1, filter.Size())
	for id := range int16(3) { // Blocks, xxHash, not compressed: the only kinds that there are.
		w.field(id+2, thriftStruct)
		w.begin()
		w.field(1, thriftStruct)
		w.b = append(w.b, 0)
		w.end()
	}
	out := bytes.NewBuffer(append(w.b, 0))
	if _, err := filter.WriteTo(out, nil); err == nil {
		c.bloom = out.Bytes()
	}
}

func (w *numberColumn[T]) bloomNumbers() {
	raw, size := asBytes(w.dense), int(unsafe.Sizeof(*new(T)))
	w.filterOf(len(w.dense), func(i int) []byte { return raw[i*size : i*size+size] })
}

func (w *textColumn) bloomTexts() {
	w.filterOf(len(w.starts), func(i int) []byte { return w.data[w.starts[i]:w.ends[i]] })
}

// sampled gives the sampler, emptied.
func (s *Space) sampled() *sampler {
	if s.sampler == nil {
		s.sampler = &sampler{}
	}
	s.sampler.reset()
	return s.sampler
}
