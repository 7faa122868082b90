package pqfile

import (
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// smallBlock is the largest block that scratch takes from the Go heap.
const smallBlock = 64

// scratch gives arrays their memory from the allocator of the caller, and small
// blocks from the Go heap: the delta decoder of arrow-go v18.8 never gives its
// 64-byte work space back, which a counting or a C allocator would call a leak.
type scratch struct{ memory.Allocator }

func (s scratch) Allocate(n int) []byte {
	if n <= smallBlock {
		return memory.DefaultAllocator.Allocate(n)
	}
	return s.Allocator.Allocate(n)
}

func (s scratch) Reallocate(n int, b []byte) []byte {
	small := len(b) <= smallBlock
	switch {
	case small && n <= smallBlock:
		return memory.DefaultAllocator.Reallocate(n, b)
	case !small && n > smallBlock:
		return s.Allocator.Reallocate(n, b)
	}
	fresh := s.Allocate(n)
	copy(fresh, b)
	s.Free(b)
	return fresh
}

func (s scratch) Free(b []byte) {
	if len(b) > smallBlock {
		s.Allocator.Free(b)
	}
}

// Uncleared allocates bytes of any content, for who writes all of them: clearing
// them first takes as long as decoding some columns. Blocks of some size start
// at a multiple of 64, as Arrow wants it.
func Uncleared(n int) []byte {
	if n < unclearedBytes {
		return memory.DefaultAllocator.Allocate(n)
	}
	// The one way of the standard library to such memory. Nobody else has the
	// string, so that it may be written to.
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// unclearedBytes is where the gain begins; every larger block of the Go heap
// starts at a multiple of 64.
const unclearedBytes = 4 << 10

// heap is the Go heap for decoders, which write all that they keep.
type heap struct{}

func (heap) Allocate(n int) []byte { return Uncleared(n) }

func (heap) Reallocate(n int, b []byte) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	fresh := Uncleared(n)
	copy(fresh, b)
	return fresh
}

func (heap) Free([]byte) {}
