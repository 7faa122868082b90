package llm

import "sync"

// bufferPool keeps buffers of usual sizes for the next request.
type bufferPool struct{ pool sync.Pool }

// keptBuffer is the largest that is kept: a few large requests must not hold the
// memory for good.
const keptBuffer = 256 << 10

func (p *bufferPool) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, firstBuffer)
}

func (p *bufferPool) put(b []byte) {
	if cap(b) > 0 && cap(b) <= keptBuffer {
		p.pool.Put(&b)
	}
}
