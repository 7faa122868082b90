package pqfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// The decoder here turns a column chunk of a flat column straight into one
// Arrow array: pages are decompressed into a buffer that is used again, and
// values are written once, where they stay. It reads what this package writes;
// everything else takes the way through the library.

// chunkDecoder is the state of one chunk.
type chunkDecoder struct {
	data     []byte
	codec    *zstd.Decoder // nil when nothing is compressed.
	first    int           // The row of the chunk that is decoded first.
	rows     int           // That are decoded.
	optional bool
	keep     func(from, to int64) bool // nil keeps every page.
	mem      memory.Allocator

	valid  *memory.Buffer // Of an optional column.
	nulls  int
	raw    []byte // The current page, decompressed.
	values values
}

// values takes the values of one type.
type values interface {
	// dictionary takes the dictionary page.
	dictionary(raw []byte, n int) error
	// page puts k values into the n rows from row on. valid has a bit for each
	// row of the chunk, and is nil when k is n.
	page(raw []byte, encoding int64, row, n, k int, valid []byte) error
	// skip leaves the n rows from row on as they are.
	skip(row, n int)
	// array gives what was decoded; the buffers of the values pass to it.
	array(t arrow.DataType, rows int, valid *memory.Buffer, nulls int) arrow.Array
	// release drops the buffers of a decoder that failed.
	release()
}

// decoderFor makes the decoder of a type, nil when there is none.
func decoderFor(t arrow.DataType, physical parquet.Type, rows int, raw int64, mem memory.Allocator) values {
	switch t.ID() {
	case arrow.BOOL:
		if physical == parquet.Types.Boolean {
			return newBools(rows, mem)
		}
	case arrow.INT8:
		return fixed[int8](physical, parquet.Types.Int32, rows, mem)
	case arrow.INT16:
		return fixed[int16](physical, parquet.Types.Int32, rows, mem)
	case arrow.INT32, arrow.DATE32:
		return fixed[int32](physical, parquet.Types.Int32, rows, mem)
	case arrow.INT64:
		return fixed[int64](physical, parquet.Types.Int64, rows, mem)
	case arrow.TIMESTAMP:
		return fixed[int64](physical, parquet.Types.Int64, rows, mem)
	case arrow.FLOAT32:
		return fixed[float32](physical, parquet.Types.Float, rows, mem)
	case arrow.FLOAT64:
		return fixed[float64](physical, parquet.Types.Double, rows, mem)
	case arrow.STRING, arrow.BINARY:
		if physical == parquet.Types.ByteArray {
			return newTexts(rows, raw, mem)
		}
	}
	return nil
}

// decodeColumn decodes a column of flat values, or of lists of them; ok is false when only the library can. The
// rows of pages that keep refuses come out as nulls or zeros.
func (f *File) decodeColumn(src *segments, group, column int, opts DecodeOptions, mem memory.Allocator) (out arrow.Array, ok bool, err error) {
	if !f.Own() || len(f.leaves[column]) != 1 {
		return nil, false, nil
	}
	c := f.groups[group][f.leaves[column][0]]
	meta, err := f.meta.RowGroup(group).ColumnChunk(c.Leaf)
	if err != nil {
		return nil, false, err
	}
	leaf := f.meta.Schema.Column(c.Leaf)
	d := &chunkDecoder{rows: int(f.rows[group]), optional: leaf.MaxDefinitionLevel() == 1, keep: opts.Keep, mem: mem}
	field := f.schema.Field(column)
	elem, isList := listOf(field, leaf)
	if !isList && (!f.Flat(column) || leaf.MaxDefinitionLevel() > 1 || leaf.MaxRepetitionLevel() > 0) {
		return nil, false, nil
	}
	for _, e := range meta.Encodings() {
		switch e {
		case parquet.Encodings.Plain, parquet.Encodings.RLE, parquet.Encodings.RLEDict, parquet.Encodings.PlainDict, parquet.Encodings.DeltaBinaryPacked,
			parquet.Encodings.DeltaLengthByteArray, parquet.Encodings.DeltaByteArray:
		default:
			return nil, false, nil
		}
	}
	switch meta.Compression() {
	case compress.Codecs.Uncompressed:
	case compress.Codecs.Zstd:
		if d.codec, err = inflater(); err != nil {
			return nil, false, err
		}
		defer inflaters.Put(d.codec)
	default:
		return nil, false, nil
	}
	if d.data, err = src.view(c.Off, c.Len); err != nil {
		return nil, false, err
	}
	from, to := opts.From, opts.To
	if !isList {
		if err := d.narrow(int(from), int(to)); err != nil {
			return nil, false, fmt.Errorf("row group %d: column %q: %w", group, field.Name, err)
		}
		from, to = from-int64(d.first), to-int64(d.first)
	}
	t, n := field.Type, d.rows
	if isList {
		if t = elem.Type; meta.NumValues() > math.MaxInt32 {
			return nil, false, nil
		}
		n = int(meta.NumValues())
	}
	raw := c.Raw
	if d.rows < int(f.rows[group]) {
		raw = int64(float64(raw) * float64(d.rows) / float64(f.rows[group]))
	}
	if d.values = decoderFor(t, leaf.PhysicalType(), n, raw, mem); d.values == nil {
		return nil, false, nil
	}
	defer d.values.release()
	err = Guard("decode", func() error {
		if isList {
			out, err = d.lists(newLists(field, elem, d.rows, n, d.values, mem), field.Type, meta.NumValues())
			return err
		}
		defer func() {
			if d.valid != nil {
				d.valid.Release()
			}
		}()
		if err := d.decode(); err != nil {
			return err
		}
		out = d.values.array(t, d.rows, d.valid, d.nulls)
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("row group %d: column %q: %w", group, field.Name, err)
	}
	cut(&out, from, to)
	return out, true, nil
}

// narrow leaves the pages with rows in [from, to) to be decoded, and what comes
// before them but for the dictionary.
func (d *chunkDecoder) narrow(from, to int) error {
	if from <= 0 && to >= d.rows {
		return nil
	}
	// The headers are read twice. There are few.
	pages := chunkDecoder{data: d.data}
	row, first, last := 0, -1, d.rows
	for row < d.rows && row < to {
		h, _, err := pages.nextPage()
		if err != nil {
			return err
		}
		if h.kind == dictionaryPage {
			continue
		}
		rows := int(h.values)
		if h.kind != dataPageV1 || rows == 0 || rows > d.rows-row {
			return fmt.Errorf("a page of kind %d claims %d rows of %d", h.kind, rows, d.rows-row)
		}
		if row+rows > from && first < 0 {
			first = row
		}
		row += rows
		last = row
	}
	d.first, d.rows = max(first, 0), last-max(first, 0)
	return nil
}

func (d *chunkDecoder) decode() error {
	before := d.first // Rows of pages that come before those that are wanted.
	if d.optional {
		d.valid = clearBits(d.rows, d.mem)
	}
	for row := 0; row < d.rows; {
		h, body, err := d.nextPage()
		if err != nil {
			return err
		}
		if h.kind == dictionaryPage {
			if err := d.inflate(body, h); err != nil {
				return err
			}
			if err := d.values.dictionary(d.raw, int(h.values)); err != nil {
				return err
			}
			continue
		}
		rows := int(h.values)
		if before > 0 && h.kind == dataPageV1 && rows <= before {
			before -= rows
			continue
		}
		if h.kind != dataPageV1 || rows == 0 || rows > d.rows-row {
			return fmt.Errorf("a page of kind %d claims %d rows of %d", h.kind, rows, d.rows-row)
		}
		if d.keep != nil && !d.keep(int64(d.first+row), int64(d.first+row+rows)) {
			d.values.skip(row, rows)
			if d.optional {
				d.nulls += rows
			}
			row += rows
			continue
		}
		if err := d.inflate(body, h); err != nil {
			return err
		}
		if err := d.page(h, row, rows); err != nil {
			return err
		}
		row += rows
	}
	if d.nulls == 0 && d.valid != nil {
		d.valid.Release()
		d.valid = nil
	}
	return nil
}

// nextPage cuts the next page off.
func (d *chunkDecoder) nextPage() (h pageHeader, body []byte, err error) {
	h, n, err := parsePageHeader(d.data)
	if err != nil {
		return h, nil, err
	}
	body, d.data = d.data[n:n+int(h.size)], d.data[n+int(h.size):]
	return h, body, nil
}

func (d *chunkDecoder) page(h pageHeader, row, rows int) error {
	raw, k := d.raw, rows
	var valid []byte
	if d.optional {
		defs, rest, err := section(raw)
		if err != nil {
			return err
		}
		valid, raw = d.valid.Bytes(), rest
		if err := levels(defs, valid, row, rows); err != nil {
			return err
		}
		k = countBits(valid, row, rows)
		d.nulls += rows - k
	}
	if k == rows {
		valid = nil
	}
	return d.values.page(raw, h.encoding, row, rows, k, valid)
}

// inflate fills d.raw.
func (d *chunkDecoder) inflate(body []byte, h pageHeader) error {
	if d.codec == nil {
		d.raw = body
	} else {
		if cap(d.raw) < int(h.raw) {
			// Room for wide reads at the end.
			d.raw = Uncleared(int(h.raw + h.raw/8 + 64))[:0]
		}
		var err error
		if d.raw, err = d.codec.DecodeAll(body, d.raw[:0]); err != nil {
			return err
		}
	}
	if int64(len(d.raw)) != h.raw {
		return fmt.Errorf("a page has %d bytes, its header says %d", len(d.raw), h.raw)
	}
	return nil
}

type fixedType interface {
	int8 | int16 | int32 | int64 | float32 | float64
}

// numbers decodes the types of one width.
type numbers[T fixedType] struct {
	buf  *memory.Buffer
	out  []T
	wide bool // Stored as it is laid out in memory; else as an int32.
	dict []T
	tmp  []T
}

func fixed[T fixedType](have, want parquet.Type, rows int, mem memory.Allocator) values {
	if have != want {
		return nil
	}
	var t T
	size := int(unsafe.Sizeof(t))
	v := &numbers[T]{buf: memory.NewResizableBuffer(mem), wide: size >= 4}
	v.buf.Resize(rows * size)
	v.out = unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(v.buf.Bytes()))), rows)
	return v
}

func (v *numbers[T]) release() {
	if v.buf != nil {
		v.buf.Release()
		v.buf = nil
	}
}

// plain reads values as they are stored.
func (v *numbers[T]) plain(out []T, raw []byte) error {
	if v.wide {
		size := int(unsafe.Sizeof(*new(T)))
		if len(raw) < len(out)*size {
			return errValues
		}
		if len(out) > 0 {
			copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(out))), len(out)*size), raw)
		}
		return nil
	}
	if len(raw) < len(out)*4 {
		return errValues
	}
	for i := range out {
		out[i] = T(int32(binary.LittleEndian.Uint32(raw[i*4:])))
	}
	return nil
}

func (v *numbers[T]) dictionary(raw []byte, n int) error {
	if n > len(raw) {
		return errValues
	}
	v.dict = make([]T, n)
	return v.plain(v.dict, raw)
}

func (v *numbers[T]) page(raw []byte, encoding int64, row, n, k int, valid []byte) error {
	out := v.out[row : row+n]
	dense := out
	if k < n {
		if cap(v.tmp) < k+1 {
			v.tmp = make([]T, n+1)
		}
		dense = v.tmp[:k]
	}
	if err := v.dense(dense, raw, encoding); err != nil || k == n {
		return err
	}
	spread(out, v.tmp[:k+1], valid, row)
	return nil
}

// spread puts dense values where their bits are set. A null takes the value that
// comes next, so that no branch is needed; dense has one value more for that.
func spread[T any](out, dense []T, valid []byte, row int) {
	j := 0
	for i := 0; i < len(out); {
		// Up to 57 bits are at hand whatever the shift.
		n := min(56, len(out)-i)
		word := bitsAt(valid, row+i, n)
		for part := out[i : i+n]; len(part) > 0; part = part[1:] {
			part[0] = dense[j]
			j += int(word & 1)
			word >>= 1
		}
		i += n
	}
}

// gather looks values up in the dictionary.
func (v *numbers[T]) gather(out []T, raw []byte) error {
	if len(out) == 0 {
		return nil
	}
	if len(raw) == 0 {
		return errValues
	}
	var scratch [blockOf]uint32
	dict := v.dict
	h := hybrid{raw[1:], int(raw[0])}
	return h.blocks(len(out), &scratch, func(some []uint32) error {
		to := out[:len(some)]
		for i, x := range some {
			if int(x) >= len(dict) {
				return errValues
			}
			to[i] = dict[x]
		}
		out = out[len(some):]
		return nil
	}, func(x uint32, count int) error {
		if int(x) >= len(dict) {
			return errValues
		}
		fill(out[:count], dict[x])
		out = out[count:]
		return nil
	})
}

// fill sets all of out to v.
func fill[T any](out []T, v T) {
	for i := range out {
		out[i] = v
	}
}

func (v *numbers[T]) dense(out []T, raw []byte, encoding int64) error {
	switch encoding {
	case encodingPlain:
		return v.plain(out, raw)
	case encodingDict, encodingPlainDict:
		return v.gather(out, raw)
	case encodingDelta:
		err := fmt.Errorf("a page of floats has the encoding %d", encoding)
		switch out := any(out).(type) {
		case []int8:
			_, err = delta(out, raw)
		case []int16:
			_, err = delta(out, raw)
		case []int32:
			_, err = delta(out, raw)
		case []int64:
			_, err = delta(out, raw)
		}
		return err
	}
	return fmt.Errorf("a page has the encoding %d", encoding)
}

func (v *numbers[T]) skip(row, n int) { clear(v.out[row : row+n]) }

func (v *numbers[T]) array(t arrow.DataType, rows int, valid *memory.Buffer, nulls int) arrow.Array {
	// Elements of lists may be fewer than there was room for, and what lies behind
	// them was never written: it must not leave with the record.
	var one T
	v.buf.ResizeNoShrink(rows * int(unsafe.Sizeof(one)))
	data := array.NewData(t, rows, []*memory.Buffer{valid, v.buf}, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
