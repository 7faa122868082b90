package pqfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/snappy"
)

// maxTablePage bounds a page of a Table, decompressed.
const maxTablePage = 1 << 29

// Texts reads a leaf of texts or binaries.
func (t *Table) Texts(group, leaf int) (*Levels[string], error) {
	return readTable(t, group, leaf, textPages{})
}

// Ints reads a leaf of whole numbers of 32 or 64 bits.
func (t *Table) Ints(group, leaf int) (*Levels[int64], error) {
	return readTable(t, group, leaf, intPages{narrow: t.leaves[leaf].physical == physicalInt32})
}

// tablePages decodes the values of pages.
type tablePages[T any] interface {
	fits(physical int64) bool
	// append takes n values in an encoding that needs no dictionary.
	append(out []T, raw []byte, encoding int64, n int) ([]T, error)
}

// readTable reads a column chunk.
func readTable[T any, P tablePages[T]](t *Table, group, leaf int, pages P) (*Levels[T], error) {
	r := &tableReader[T, P]{pages: pages, leaf: t.leaves[leaf], scratch: &t.scratch, rows: int(t.groups[group].rows), out: &Levels[T]{}}
	c := t.groups[group].chunks[leaf]
	if !pages.fits(c.physical) {
		return nil, fmt.Errorf("it is stored as type %d: %w", c.physical, ErrDamaged)
	}
	if c.values > maxTableSlots || r.rows > maxTableSlots {
		return nil, fmt.Errorf("it claims %d values for %d rows, want at most %d: %w", c.values, r.rows, maxTableSlots, ErrDamaged)
	}
	r.slots = int(c.values)
	if err := r.chunk(t.data[c.data:c.data+c.size], c.codec); err != nil {
		if !errors.Is(err, ErrForeign) {
			err = fmt.Errorf("%w: %w", err, ErrDamaged)
		}
		return nil, err
	}
	return r.out, nil
}

type tableReader[T any, P tablePages[T]] struct {
	pages P
	leaf  TableLeaf
	rows  int
	slots int // That the chunk has.

	scratch *[blockOf]uint32

	out  *Levels[T]
	dict []T
	done int // Slots.
	seen int // Rows.
}

func (r *tableReader[T, P]) chunk(data []byte, codec int64) error {
	for r.done < r.slots {
		h, n, err := parsePageHeader(data)
		if err != nil {
			if h.kind != dataPageV1 && h.kind != dictionaryPage {
				return fmt.Errorf("a page of kind %d: %w", h.kind, ErrForeign)
			}
			return err
		}
		body := data[n : n+int(h.size)]
		data = data[n+int(h.size):]
		if h.kind != dataPageV1 && h.kind != dictionaryPage {
			return fmt.Errorf("a page of kind %d: %w", h.kind, ErrForeign)
		}
		raw, err := inflateTable(body, h.raw, codec)
		if err != nil {
			return err
		}
		if h.kind == dictionaryPage {
			if h.encoding != encodingPlain && h.encoding != encodingPlainDict {
				return fmt.Errorf("a dictionary has the encoding %d", h.encoding)
			}
			if r.dict, err = r.pages.append(nil, raw, encodingPlain, int(h.values)); err != nil {
				return err
			}
			continue
		}
		if h.values == 0 || h.values > int64(r.slots-r.done) {
			return fmt.Errorf("a page claims %d values of %d", h.values, r.slots-r.done)
		}
		if err := r.page(raw, h, int(h.values)); err != nil {
			return err
		}
	}
	if r.leaf.maxRep == 0 {
		r.seen = r.done
	} else if r.out.Starts != nil {
		r.out.Starts = append(r.out.Starts, int32(r.done))
	}
	if r.out.Slots == nil {
		r.out.Starts = nil
	}
	if r.seen != r.rows {
		return fmt.Errorf("it has %d rows of %d", r.seen, r.rows)
	}
	return nil
}

func (r *tableReader[T, P]) page(raw []byte, h pageHeader, n int) error {
	var reps, defs []byte
	var err error
	if r.leaf.maxRep > 0 {
		if h.reps != encodingRLE {
			return fmt.Errorf("levels have the encoding %d: %w", h.reps, ErrForeign)
		}
		if reps, raw, err = section(raw); err != nil {
			return err
		}
	}
	if r.leaf.maxDef > 0 {
		if h.defs != encodingRLE {
			return fmt.Errorf("levels have the encoding %d: %w", h.defs, ErrForeign)
		}
		if defs, raw, err = section(raw); err != nil {
			return err
		}
	}
	from := r.done
	if r.leaf.maxRep > 0 {
		if err := r.starts(reps, n); err != nil {
			return err
		}
	}
	k, err := r.place(defs, n)
	if err != nil {
		return err
	}
	r.done = from + n
	if k == 0 {
		return nil
	}
	if h.encoding == encodingDict || h.encoding == encodingPlainDict {
		return r.lookUp(raw, k)
	}
	r.out.Values, err = r.pages.append(r.out.Values, raw, h.encoding, k)
	return err
}

// starts notes where rows start among n slots.
func (r *tableReader[T, P]) starts(reps []byte, n int) error {
	at := r.done
	h := hybrid{reps, widthOf(r.leaf.maxRep)}
	row := func(i int) {
		r.out.Starts = append(r.out.Starts, int32(i))
		r.seen++
	}
	if r.out.Starts == nil {
		r.out.Starts = make([]int32, 0, r.rows+1)
	}
	err := h.blocks(n, r.scratch, func(some []uint32) error {
		for i, level := range some {
			if level == 0 {
				row(at + i)
			}
		}
		at += len(some)
		return nil
	}, func(level uint32, count int) error {
		if level == 0 {
			for i := range count {
				row(at + i)
			}
		}
		at += count
		return nil
	})
	if err == nil && (r.seen > r.rows || len(r.out.Starts) > 0 && r.out.Starts[0] != 0) {
		err = fmt.Errorf("it has more than %d rows, or starts within one", r.rows)
	}
	return err
}

// place gives n slots their values and says how many have one.
func (r *tableReader[T, P]) place(defs []byte, n int) (k int, err error) {
	next, at := int32(len(r.out.Values)), r.done
	put := func(present bool, count int) {
		if r.out.Slots == nil && present {
			r.out.Slots = make([]int32, at, r.slots)
			for i := range r.out.Slots {
				r.out.Slots[i] = -1
			}
		}
		at += count
		switch {
		case present:
			for range count {
				r.out.Slots = append(r.out.Slots, next)
				next++
			}
		case r.out.Slots != nil:
			for range count {
				r.out.Slots = append(r.out.Slots, -1)
			}
		}
	}
	if r.leaf.maxDef == 0 {
		put(true, n)
		return n, nil
	}
	h, full := hybrid{defs, widthOf(r.leaf.maxDef)}, uint32(r.leaf.maxDef)
	err = h.blocks(n, r.scratch, func(some []uint32) error {
		for _, level := range some {
			put(level == full, 1)
		}
		return nil
	}, func(level uint32, count int) error {
		put(level == full, count)
		return nil
	})
	return int(next) - len(r.out.Values), err
}

func (r *tableReader[T, P]) lookUp(raw []byte, k int) error {
	if len(raw) == 0 {
		return errValues
	}
	out := slices.Grow(r.out.Values, k)
	take := func(code uint32, count int) error {
		if int64(code) >= int64(len(r.dict)) {
			return errValues
		}
		for range count {
			out = append(out, r.dict[code])
		}
		return nil
	}
	h := hybrid{raw[1:], int(raw[0])}
	err := h.blocks(k, r.scratch, func(some []uint32) error {
		for _, code := range some {
			if err := take(code, 1); err != nil {
				return err
			}
		}
		return nil
	}, take)
	r.out.Values = out
	return err
}

func inflateTable(body []byte, raw, codec int64) (out []byte, err error) {
	if raw > maxTablePage {
		return nil, fmt.Errorf("a page claims %d bytes, want at most %d", raw, maxTablePage)
	}
	switch codec {
	case codecNone:
		out = bytes.Clone(body) // The values are parts of the page, which so is ours.
	case codecSnappy:
		// The decoder allocates what the bytes claim, which is at most so much more
		// than they are.
		n, err := snappy.DecodedLen(body)
		if err != nil || int64(n) != raw || n > 64*len(body)+64 {
			return nil, fmt.Errorf("a page of %d bytes claims %d decompressed, its header %d", len(body), n, raw)
		}
		if out, err = snappy.Decode(nil, body); err != nil {
			return nil, err
		}
	case codecZstd:
		d, err := inflater()
		if err != nil {
			return nil, err
		}
		defer inflaters.Put(d)
		if out, err = d.DecodeAll(body, nil); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("pages are compressed by codec %d: %w", codec, ErrForeign)
	}
	if int64(len(out)) != raw {
		return nil, fmt.Errorf("a page has %d bytes, its header says %d", len(out), raw)
	}
	return out, nil
}

type textPages struct{}

func (textPages) fits(physical int64) bool { return physical == physicalBinary }

// append makes the values parts of the page, without a copy: what a checkpoint
// says is kept as a whole, and nobody writes to the page.
func (textPages) append(out []string, raw []byte, encoding int64, n int) ([]string, error) {
	if n > len(raw)/4 && encoding == encodingPlain {
		return nil, errValues
	}
	if encoding != encodingPlain {
		return nil, fmt.Errorf("a page has the encoding %d: %w", encoding, ErrForeign)
	}
	out = slices.Grow(out, n)
	text := unsafeText(raw)
	at := 0
	for range n {
		if len(raw)-at < 4 {
			return nil, errValues
		}
		size := int64(binary.LittleEndian.Uint32(raw[at:]))
		at += 4
		if size > int64(len(raw)-at) {
			return nil, errValues
		}
		out = append(out, text[at:at+int(size)])
		at += int(size)
	}
	return out, nil
}

type intPages struct{ narrow bool }

func (p intPages) fits(physical int64) bool {
	return physical == physicalInt32 || physical == physicalInt64
}

func (p intPages) append(out []int64, raw []byte, encoding int64, n int) ([]int64, error) {
	size := 8
	if p.narrow {
		size = 4
	}
	switch {
	case encoding != encodingPlain:
		return nil, fmt.Errorf("a page has the encoding %d: %w", encoding, ErrForeign)
	case n > len(raw)/size:
		return nil, errValues
	}
	out = slices.Grow(out, n)
	for i := range n {
		if p.narrow {
			out = append(out, int64(int32(binary.LittleEndian.Uint32(raw[4*i:]))))
		} else {
			out = append(out, int64(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	}
	return out, nil
}
