package monitor

import (
	"hash/maphash"
	"math/bits"
)

// entry is a prediction that waits for its label, or has had it and waits to
// be forgotten. It holds no pointer, so that the garbage collector need not
// look into a million of them.
type entry struct {
	id       ID
	score    float64
	at       int64 // Unix nanoseconds of the observation.
	window   uint32
	epoch    uint16
	labelled bool
	codes    sliceCodes
}

// pending keeps the newest predictions: a ring in order of arrival and an open
// addressing index into it. It grows by doubling up to max entries.
//
// At a million entries nearly every access is a cache miss, so the index holds
// 32 bits of the hash beside the position: only a cell that matches is worth a
// look into the ring, and cells move without one.
type pending struct {
	seed  maphash.Seed
	max   int
	ring  []entry
	head  int // Position of the oldest.
	n     int
	index []cell // At most half full.
	warm  uint32 // Keeps touch from being optimised away.
}

// cell is a hash and a position + 1; at 0 it is empty.
type cell struct{ hash, at uint32 }

func newPending(limit int) pending { return pending{seed: maphash.MakeSeed(), max: limit} }

func (p *pending) hash(id *ID) uint32 { return uint32(maphash.Bytes(p.seed, id[:])) }

// slot returns where the search for a hash begins.
func (p *pending) slot(hash uint32) int { return int(hash) & (len(p.index) - 1) }

// touch reads the index cells that put and drop of so many entries will need,
// so that their cache misses overlap.
func (p *pending) touch(hashes []uint32) {
	if p.n == 0 {
		return
	}
	var sum uint32
	for _, h := range hashes {
		sum += p.index[p.slot(h)].at
	}
	if p.n == p.max {
		at := p.head
		for range min(len(hashes), p.n) {
			sum += p.index[p.slot(p.hash(&p.ring[at].id))].at
			if at++; at == len(p.ring) {
				at = 0
			}
		}
	}
	p.warm = sum
}

// find returns the entry of the id, nil when there is none. It is valid until
// the next call of put or drop.
func (p *pending) find(id *ID, hash uint32) *entry {
	if p.n == 0 {
		return nil
	}
	for i := p.slot(hash); p.index[i].at != 0; i = (i + 1) & (len(p.index) - 1) {
		if p.index[i].hash != hash {
			continue
		}
		if e := &p.ring[p.index[i].at-1]; e.id == *id {
			return e
		}
	}
	return nil
}

// put adds an entry whose id is not there. There must be room.
func (p *pending) put(e *entry, hash uint32) {
	if p.n == len(p.ring) {
		p.grow()
	}
	at := p.head + p.n
	if at >= len(p.ring) {
		at -= len(p.ring)
	}
	p.ring[at] = *e
	p.n++
	p.link(cell{hash, uint32(at) + 1})
}

func (p *pending) link(c cell) {
	i := p.slot(c.hash)
	for p.index[i].at != 0 {
		i = (i + 1) & (len(p.index) - 1)
	}
	p.index[i] = c
}

func (p *pending) grow() {
	ring := make([]entry, min(max(2*len(p.ring), 1024), p.max))
	k := copy(ring, p.ring[p.head:])
	copy(ring[k:], p.ring[:p.head])
	p.ring, p.head = ring, 0
	p.index = make([]cell, 1<<bits.Len(uint(2*len(ring)-1)))
	for at := range p.n {
		p.link(cell{p.hash(&ring[at].id), uint32(at) + 1})
	}
}

// oldest returns the first entry, nil when there is none.
func (p *pending) oldest() *entry {
	if p.n == 0 {
		return nil
	}
	return &p.ring[p.head]
}

// drop forgets the oldest entry.
func (p *pending) drop() {
	mask := len(p.index) - 1
	hole := p.slot(p.hash(&p.ring[p.head].id))
	for p.index[hole].at != uint32(p.head)+1 {
		hole = (hole + 1) & mask
	}
	// Close the gap, so that no search ends early: a cell moves back unless
	// its own slot lies between the hole and itself.
	for i := (hole + 1) & mask; p.index[i].at != 0; i = (i + 1) & mask {
		own := p.slot(p.index[i].hash)
		if (i-own)&mask >= (i-hole)&mask {
			p.index[hole] = p.index[i]
			hole = i
		}
	}
	p.index[hole] = cell{}
	p.head++
	if p.head == len(p.ring) {
		p.head = 0
	}
	p.n--
}
