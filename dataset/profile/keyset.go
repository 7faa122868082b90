package profile

import (
	"encoding/binary"
	"unsafe"
)

// keySet is a set of hashes, with open addressing: 8 bytes a slot, at most three
// quarters full. The zero value with a limit is ready.
type keySet struct {
	slots []uint64 // 0 is free.
	zero  bool     // The hash 0 is in the set.
	n     int
	limit int
	full  bool // A hash did not fit; nothing is known any more.
}

const firstSlots = 1 << 10

// add puts a hash in and reports whether it is new.
func (s *keySet) add(hash uint64) bool {
	if s.full {
		return true
	}
	if hash == 0 {
		fresh := !s.zero
		s.zero = true
		return fresh
	}
	if len(s.slots) == 0 {
		s.slots = make([]uint64, firstSlots)
	}
	at := s.find(hash)
	if s.slots[at] == hash {
		return false
	}
	if s.n >= s.limit {
		s.full, s.slots = true, nil
		return true
	}
	s.slots[at] = hash
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
	old := s.slots
	s.slots = make([]uint64, 2*len(old))
	for _, hash := range old {
		if hash != 0 {
			s.slots[s.find(hash)] = hash
		}
	}
}

// hashKey hashes a key. Keys of eight bytes, which all numbers have, never
// share a hash with each other: mix is a bijection.
func hashKey(key []byte) uint64 {
	if len(key) == 8 {
		return mix(binary.LittleEndian.Uint64(key))
	}
	return hashString(unsafe.String(unsafe.SliceData(key), len(key))) // It keeps nothing.
}
