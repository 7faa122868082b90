package pqfile

import (
	"encoding/binary"
	"sort"
)

// shape is where the values of a column chunk lie among its rows.
type shape struct {
	rows     int
	optional bool
	valid    []byte // A bit for each row; nil when none is null.
	validOff int

	// Of a list: where the elements of each row start, and what they are. Rows and
	// elements that are null have no place in offsets and among the values.
	list    bool
	offsets []int32 // One more than rows.
	elems   struct {
		optional bool
		valid    []byte // nil when none is null.
		off      int    // Of the first element.
	}
}

// pages cuts the rows into pages and calls put for each: from row on n rows, of
// which so many values are not null, in so many slots. A value takes size bytes,
// or what ends says: where each value ends when all are put one after the other.
func (s *shape) pages(c *chunkEncoder, size int, ends func(value int) int, put func(row, n, values, slots int, levels []byte) error, finish func()) error {
	first := 0 // Value.
	for row := 0; row < s.rows; {
		left := min(s.rows-row, pageRows)
		n := left
		switch {
		case s.list:
			base := int(s.offsets[row])
			n = sort.Search(left, func(i int) bool { return (int(s.offsets[row+i+1])-base)*size > pageBytes })
		case ends != nil:
			base := ends(first - 1)
			n = sort.Search(left, func(i int) bool {
				return ends(first+s.count(row, i+1)-1)-base > pageBytes
			})
		case size*n > pageBytes:
			n = pageBytes / size
		}
		n = max(n, 1)
		values, slots, levels := s.levels(c, row, n)
		if err := put(row, n, values, slots, levels); err != nil {
			return err
		}
		first += values
		row += n
	}
	finish()
	return nil
}

// count is how many of n rows have a value.
func (s *shape) count(row, n int) int {
	if s.valid == nil {
		return n
	}
	return countBits(s.valid, s.validOff+row, n)
}

// levels writes the levels of n rows.
func (s *shape) levels(c *chunkEncoder, row, n int) (values, slots int, levels []byte) {
	if s.list {
		return s.listLevels(c, row, n)
	}
	values = s.count(row, n)
	if !s.optional {
		return values, n, nil
	}
	out := append(c.levels[0].out[:0], 0, 0, 0, 0)
	if values == n {
		out = append(binary.AppendUvarint(out, uint64(n)<<1), 1)
	} else {
		out = appendValid(out, s.valid, s.validOff+row, n)
	}
	binary.LittleEndian.PutUint32(out, uint32(len(out)-4))
	c.levels[0].out = out
	return values, n, out
}

func (s *shape) listLevels(c *chunkEncoder, row, n int) (values, slots int, levels []byte) {
	full := byte(1)
	if s.optional {
		full++
	}
	empty := full - 1
	if s.elems.optional {
		full++
	}
	reps, defs := &c.levels[0], &c.levels[1]
	for _, h := range []*levelWriter{reps, defs} {
		*h = levelWriter{out: append(h.out[:0], 0, 0, 0, 0), lit: h.lit[:0]}
	}
	reps.width, defs.width = 1, 1
	if full > 1 {
		defs.width = 2
	}
	for i := row; i < row+n; i++ {
		size := int(s.offsets[i+1] - s.offsets[i])
		reps.put(0, 1)
		if size == 0 {
			slots++
			if s.valid != nil && s.valid[(s.validOff+i)>>3]>>((s.validOff+i)&7)&1 == 0 {
				defs.put(0, 1)
			} else {
				defs.put(empty, 1)
			}
			continue
		}
		reps.put(1, size-1)
		slots += size
		if s.elems.valid == nil {
			defs.put(full, size)
			values += size
			continue
		}
		from := s.elems.off + int(s.offsets[i]-s.offsets[0])
		for size > 0 {
			run := bitRun(s.elems.valid, from, size)
			if s.elems.valid[from>>3]>>(from&7)&1 == 1 {
				defs.put(full, run)
				values += run
			} else {
				defs.put(full-1, run)
			}
			from, size = from+run, size-run
		}
	}
	for _, h := range []*levelWriter{reps, defs} {
		h.finish()
		binary.LittleEndian.PutUint32(h.out, uint32(len(h.out)-4))
	}
	// Both in one piece.
	reps.out = append(reps.out, defs.out...)
	return values, slots, reps.out
}
