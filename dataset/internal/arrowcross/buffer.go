package arrowcross

import (
	"unsafe"

	mem15 "github.com/apache/arrow/go/v15/arrow/memory"

	mem18 "github.com/apache/arrow-go/v18/arrow/memory"
)

// owner15 keeps a v15 buffer alive for as long as a v18 buffer shows its
// bytes. It stands where the v18 buffer expects the allocator that gets the
// memory back, and gives back the reference instead.
type owner15 struct{ b *mem15.Buffer }

func (o owner15) Allocate(n int) []byte { return mem18.DefaultAllocator.Allocate(n) }

func (o owner15) Reallocate(n int, b []byte) []byte {
	// A shared buffer is never resized; should a kernel try, it gets a copy,
	// because the bytes belong to somebody else.
	fresh := mem18.DefaultAllocator.Allocate(n)
	copy(fresh, b)
	return fresh
}

func (o owner15) Free(b []byte) {
	if unsafe.SliceData(b) == unsafe.SliceData(o.b.Bytes()) {
		o.b.Release()
	}
}

type owner18 struct{ b *mem18.Buffer }

func (o owner18) Allocate(n int) []byte { return mem15.DefaultAllocator.Allocate(n) }

func (o owner18) Reallocate(n int, b []byte) []byte {
	fresh := mem15.DefaultAllocator.Allocate(n)
	copy(fresh, b)
	return fresh
}

func (o owner18) Free(b []byte) {
	if unsafe.SliceData(b) == unsafe.SliceData(o.b.Bytes()) {
		o.b.Release()
	}
}

func buffer18(b *mem15.Buffer) *mem18.Buffer {
	if b == nil {
		return nil
	}
	b.Retain()
	return mem18.NewBufferWithAllocator(b.Bytes(), owner15{b})
}

func buffer15(b *mem18.Buffer) *mem15.Buffer {
	if b == nil {
		return nil
	}
	b.Retain()
	return mem15.NewBufferWithAllocator(b.Bytes(), owner18{b})
}
