package pqfile

import (
	mathbits "math/bits"
)

const (
	// maxDict is how many values a dictionary has at most, and maxDictBytes how
	// many bytes: what stays in the cache while it is looked up.
	maxDict      = 1 << 16
	maxDictBytes = 1 << 20
)

// sampler counts how often values come back, by their hashes.
type sampler struct {
	table  [2 * sampleRows]uint64 // 0 is empty.
	counts [2 * sampleRows]uint16
	values int
	often  [3]int // How many hashes were seen once, twice, and more often.
}

func (s *sampler) reset() {
	clear(s.table[:])
	s.values, s.often = 0, [3]int{}
}

func (s *sampler) add(h uint64) {
	if h == 0 {
		h = 1
	}
	s.values++
	for at := h >> 51; ; at++ {
		at &= uint64(len(s.table) - 1)
		switch s.table[at] {
		case 0:
			s.table[at], s.counts[at] = h, 1
			s.often[0]++
			return
		case h:
			switch s.counts[at] {
			case 1:
				s.often[0]--
				s.often[1]++
			case 2:
				s.often[1]--
				s.often[2]++
			}
			s.counts[at]++
			return
		}
	}
}

// distinct is about how many different values there are among n, from how many
// were seen once and twice (Chao 1984).
func (s *sampler) distinct(n int) int {
	seen := s.often[0] + s.often[1] + s.often[2]
	if s.values >= n {
		return seen
	}
	once, twice := float64(s.often[0]), float64(s.often[1])
	return int(min(float64(seen)+once*(once-1)/(2*(twice+1)), float64(n)))
}

// dictPays tells whether a dictionary of about distinct values makes n values of
// bits bits each much smaller. Compression takes a part of what plain values
// cost, and time.
func dictPays(n, distinct int, bits float64) bool {
	if n == 0 || distinct > maxDict || float64(distinct)*bits > 8*maxDictBytes {
		return false
	}
	width := mathbits.Len(uint(max(distinct-1, 1)))
	return float64(distinct)*bits+float64(n*width) <= 0.6*float64(n)*bits
}

// dictLimit is how many values a dictionary that should have about distinct may
// have before it is given up.
func dictLimit(n, distinct int) int { return min(2*distinct+64, maxDict, n) }

// mixWord spreads a value over 64 bits.
func mixWord(v uint64) uint64 { return mix(v ^ hashNull) }

// slots is the table of a dictionary: for each hash the index of a value, +1.
type slots struct {
	table []uint32
	shift int
}

// reset makes room for limit values.
func (s *slots) reset(limit int) {
	bits := mathbits.Len(uint(2*limit)) + 1
	if n := 1 << bits; cap(s.table) < n {
		s.table = make([]uint32, n)
	} else {
		s.table = s.table[:n]
		clear(s.table)
	}
	s.shift = 64 - bits
}
