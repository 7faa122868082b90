package llm

import (
	"slices"
	"sync"
)

// PrefixAffinity sends a request to the upstream that has read the longest part of
// its prompt before, and so has the keys and values of it in its cache, unless
// that one has much more to do than others. It remembers the prompts of each
// upstream in blocks, as the upstreams' caches do; what they throw away it cannot
// see, so Blocks should be about the size of their caches.
//
// It is made by NewPrefixAffinity, and belongs to one model.
type PrefixAffinity struct {
	o    PrefixOptions
	mu   sync.Mutex
	seen map[string]*blocks
}

// PrefixOptions are the settings of a PrefixAffinity. Nil is the defaults.
type PrefixOptions struct {
	// BlockBytes is the size of a block of the prompt. Default 256, about 64
	// tokens.
	BlockBytes int
	// Blocks is how many blocks of an upstream are remembered. Default 50,000.
	Blocks int
	// MaxBlocks is how many blocks of one prompt are looked at. Default 1,024.
	MaxBlocks int
	// Slack is by how much the tokens that an upstream has to do yet may be above
	// the average before the request goes by load alone, as a factor. Default
	// 1.25, which bounds the load of each upstream.
	Slack float64
	// Else chooses for prompts of which no upstream has read anything. Nil is
	// LeastTokens.
	Else Router
}

// NewPrefixAffinity returns a router that has seen nothing yet.
func NewPrefixAffinity(o *PrefixOptions) *PrefixAffinity {
	p := &PrefixAffinity{seen: make(map[string]*blocks)}
	if o != nil {
		p.o = *o
	}
	def := func(to *int, v int) {
		if *to <= 0 {
			*to = v
		}
	}
	def(&p.o.BlockBytes, 256)
	def(&p.o.Blocks, 50_000)
	def(&p.o.MaxBlocks, 1024)
	if p.o.Slack < 1 {
		p.o.Slack = 1.25
	}
	if p.o.Else == nil {
		p.o.Else = LeastTokens{}
	}
	return p
}

// hashes appends the hash of every prefix of the prompt in whole blocks.
func (p *PrefixAffinity) hashes(dst []uint64, q *Query) []uint64 {
	// Prompts of other tenants and adapters are not in the same cache.
	h := hashText(hashText(hashBegin, q.Tenant), q.Model)
	size := p.o.BlockBytes
	for _, part := range [][]byte{q.Tools, q.Prompt} {
		for len(part) >= size && len(dst) < p.o.MaxBlocks {
			h = hashBlock(h, part[:size])
			dst = append(dst, h)
			part = part[size:]
		}
		if len(part) > 0 {
			h = hashBlock(h, part)
		}
	}
	return dst
}

// Pick implements Router.
func (p *PrefixAffinity) Pick(q *Query, c []Candidate) int {
	var few [64]uint64
	list := p.hashes(few[:0], q)
	if len(list) == 0 {
		return p.o.Else.Pick(q, c)
	}
	total, weight := float64(q.Tokens), 0.0
	for i := range c {
		total += c[i].load() * c[i].Weight
		weight += c[i].Weight
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	best, most := -1, 0
	for i := range c {
		b := p.seen[c[i].Upstream]
		if b == nil {
			continue
		}
		n := b.match(list)
		// Bounded load: nobody does more than Slack times its part.
		if n == 0 || n < most || c[i].load() > p.o.Slack*total/weight {
			continue
		}
		if n > most || c[i].load() < c[best].load() {
			best, most = i, n
		}
	}
	if best < 0 {
		if best = p.o.Else.Pick(q, c); best < 0 || best >= len(c) {
			best = 0
		}
	}
	b := p.seen[c[best].Upstream]
	if b == nil {
		b = newBlocks(p.o.Blocks)
		p.seen[c[best].Upstream] = b
	}
	b.add(list)
	return best
}

// hashBlock goes on with a hash, eight bytes at a time.
func hashBlock(h uint64, b []byte) uint64 {
	for len(b) >= 8 {
		v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return spread(h)
}

// blocks are the blocks that one upstream has read, of which those that were not
// used for longest go first.
type blocks struct {
	at         map[uint64]int32
	list       []block
	head, tail int32 // The latest and the earliest.
	most       int
}

type block struct {
	hash       uint64
	prev, next int32
}

func newBlocks(most int) *blocks {
	return &blocks{at: make(map[uint64]int32), head: -1, tail: -1, most: most}
}

// match is how many of the blocks, from the first on, are there.
func (b *blocks) match(list []uint64) int {
	for i, h := range list {
		if _, ok := b.at[h]; !ok {
			return i
		}
	}
	return len(list)
}

// add makes the blocks the latest. The first is used last, so that it goes last: a
// block is worth nothing without those before it.
func (b *blocks) add(list []uint64) {
	for _, h := range slices.Backward(list) {
		at, ok := b.at[h]
		switch {
		case ok:
			b.unlink(at)
		case len(b.list) < b.most:
			at = int32(len(b.list)) //nolint:gosec // It is bounded by an int that fits.
			b.list = append(b.list, block{})
		default:
			at = b.tail
			b.unlink(at)
			delete(b.at, b.list[at].hash)
		}
		b.list[at] = block{hash: h, prev: -1, next: b.head}
		if b.head >= 0 {
			b.list[b.head].prev = at
		}
		b.head = at
		if b.tail < 0 {
			b.tail = at
		}
		b.at[h] = at
	}
}

func (b *blocks) unlink(at int32) {
	e := b.list[at]
	if e.prev >= 0 {
		b.list[e.prev].next = e.next
	} else {
		b.head = e.next
	}
	if e.next >= 0 {
		b.list[e.next].prev = e.prev
	} else {
		b.tail = e.prev
	}
}
