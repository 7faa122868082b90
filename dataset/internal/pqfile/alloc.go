package pqfile

import "github.com/apache/arrow-go/v18/arrow/memory"

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
