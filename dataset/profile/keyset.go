package profile

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// keySet tells which keys came before, by their hashes: with open addressing, 12
// bytes a slot, at most three quarters full. What is more than the limit goes to a
// temporary file, and what came before across the two is told in the end. The zero
// value with a limit is ready.
type keySet struct {
	slots   []uint64 // 0 is free.
	rows    []uint32 // Where each came first, counted from base; knownRow for a key of earlier rows.
	zero    bool     // The hash 0 is in the set.
	zeroRow uint32
	n       int
	limit   int
	base    uint64
	dir     string
	spilled *keySpill
	err     error // Nothing is known any more.
}

const (
	firstSlots = 1 << 10
	knownRow   = math.MaxUint32
)

// add puts the hash of a row in and reports whether it is new, as far as the
// memory tells.
func (s *keySet) add(hash, row uint64) bool {
	if s.err == nil && (s.n >= s.limit || row-s.base >= knownRow) {
		s.spill(row)
	}
	return s.put(hash, uint32(row-s.base))
}

// know puts in the hash of a row that was there before all rows.
func (s *keySet) know(hash uint64) {
	if s.err == nil && s.n >= s.limit {
		s.spill(s.base)
	}
	s.put(hash, knownRow)
}

func (s *keySet) put(hash uint64, row uint32) bool {
	if s.err != nil {
		return true
	}
	if hash == 0 {
		fresh := !s.zero
		if fresh {
			s.zero, s.zeroRow = true, row
		}
		return fresh
	}
	if len(s.slots) == 0 {
		s.slots, s.rows = make([]uint64, firstSlots), make([]uint32, firstSlots)
	}
	at := s.find(hash)
	if s.slots[at] == hash {
		return false
	}
	s.slots[at], s.rows[at] = hash, row
	if s.n++; s.n > len(s.slots)/4*3 {
		s.grow()
	}
	return true
}

// find is the slot of a hash, or the free one in which it belongs.
func (s *keySet) find(hash uint64) int {
	mask := len(s.slots) - 1
	at := int(hash) & mask
	for s.slots[at] != 0 && s.slots[at] != hash {
		at = (at + 1) & mask
	}
	return at
}

func (s *keySet) grow() {
	slots, rows := s.slots, s.rows
	s.slots, s.rows = make([]uint64, 2*len(slots)), make([]uint32, 2*len(slots))
	for i, hash := range slots {
		if hash != 0 {
			at := s.find(hash)
			s.slots[at], s.rows[at] = hash, rows[i]
		}
	}
}

// each yields the hashes in memory and the rows they came first in, -1 for those
// that were known.
func (s *keySet) each(f func(hash uint64, row int64)) {
	put := func(hash uint64, row uint32) {
		if row == knownRow {
			f(hash, -1)
		} else {
			f(hash, int64(s.base)+int64(row))
		}
	}
	if s.zero {
		put(0, s.zeroRow)
	}
	for i, hash := range s.slots {
		if hash != 0 {
			put(hash, s.rows[i])
		}
	}
}

// spill empties the memory into the temporary file. The rows from then on are
// counted from base.
func (s *keySet) spill(base uint64) {
	if s.spilled == nil {
		s.spilled = &keySpill{dir: s.dir}
	}
	if s.err = s.spilled.write(s.each); s.err != nil {
		s.slots, s.rows = nil, nil
	}
	clear(s.slots)
	s.n, s.zero, s.base = 0, false, base
}

// finish calls f with the rows whose keys came before in a part that had been
// spilled, which add took for new. Nothing may be added afterwards.
func (s *keySet) finish(f func(row int64)) error {
	if s.spilled == nil {
		return nil
	}
	defer s.spilled.close()
	if s.err == nil {
		s.spill(s.base)
	}
	s.slots, s.rows = nil, nil
	if s.err == nil {
		s.err = s.spilled.repeats(f)
	}
	return s.err
}

// hashKey hashes a key. Keys of eight bytes, which all numbers have, never
// share a hash with each other: mix is a bijection.
func hashKey(key []byte) uint64 {
	if len(key) == 8 {
		return mix(binary.LittleEndian.Uint64(key))
	}
	return hashString(unsafe.String(unsafe.SliceData(key), len(key))) // It keeps nothing.
}
