package loader

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// run is n rows of a chunk from row on. Shuffled rows are runs of one; the
// values of a list are a run whatever the order of the lists is.
type run struct {
	row   int
	n     int32
	chunk int32
}

// gather copies the rows of runs, total in number, out of the chunks of one
// column into a new array. The caller releases the result.
func gather(mem memory.Allocator, t arrow.DataType, chunks []arrow.ArrayData, runs []run, total int) (arrow.ArrayData, error) {
	g := gatherer{mem: mem, total: total}
	defer g.drop()
	if err := g.column(t, chunks, runs); err != nil {
		return nil, err
	}
	return array.NewData(t, total, g.buffers, g.children, g.nulls, 0), nil
}

// gatherer holds the parts of one array while it is made.
type gatherer struct {
	mem      memory.Allocator
	total    int
	nulls    int
	buffers  []*memory.Buffer
	children []arrow.ArrayData
}

func (g *gatherer) drop() {
	for _, b := range g.buffers {
		if b != nil {
			b.Release()
		}
	}
	for _, c := range g.children {
		c.Release()
	}
}

// buffer adds a buffer of n bytes.
func (g *gatherer) buffer(n int) []byte {
	b := memory.NewResizableBuffer(g.mem)
	b.Resize(n)
	g.buffers = append(g.buffers, b)
	return b.Bytes()
}

func (g *gatherer) column(t arrow.DataType, chunks []arrow.ArrayData, runs []run) error {
	g.validity(chunks, runs)
	switch t := t.(type) {
	case *arrow.BooleanType:
		g.bits(chunks, runs)
	case *arrow.StringType, *arrow.BinaryType:
		return g.text(t, chunks, runs)
	case *arrow.StructType:
		return g.fields(t, chunks, runs)
	case *arrow.MapType:
		return g.lists(t.Elem(), chunks, runs)
	case *arrow.ListType:
		return g.lists(t.Elem(), chunks, runs)
	case *arrow.FixedSizeListType:
		return g.fixedLists(t, chunks, runs)
	case arrow.FixedWidthDataType:
		return g.fixed(t, chunks, runs)
	default:
		return fmt.Errorf("rows of type %s cannot be gathered: %w", t, ErrUnsupported)
	}
	return nil
}

// gatherable reports whether gather takes the type.
func gatherable(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.BooleanType, *arrow.StringType, *arrow.BinaryType:
		return true
	case *arrow.StructType:
		for _, f := range t.Fields() {
			if !gatherable(f.Type) {
				return false
			}
		}
		return true
	case *arrow.MapType:
		return gatherable(t.Elem())
	case *arrow.ListType:
		return gatherable(t.Elem())
	case *arrow.FixedSizeListType:
		return gatherable(t.Elem())
	case *arrow.DictionaryType, arrow.ExtensionType:
		return false
	case arrow.FixedWidthDataType:
		return t.BitWidth() > 0 && t.BitWidth()%8 == 0
	}
	return false
}

// bitmap returns the bytes of buffer i of a chunk, nil when it has none.
func bitmap(d arrow.ArrayData, i int) []byte {
	if b := d.Buffers()[i]; b != nil {
		return b.Bytes()
	}
	return nil
}

// validity adds the validity bitmap, none when no chunk has a null.
func (g *gatherer) validity(chunks []arrow.ArrayData, runs []run) {
	sources := make([][]byte, len(chunks))
	some := false
	for i, d := range chunks {
		if d.NullN() != 0 {
			sources[i] = bitmap(d, 0)
			some = some || sources[i] != nil
		}
	}
	if !some {
		g.buffers = append(g.buffers, nil)
		return
	}
	out := g.buffer(int(bitutil.BytesForBits(int64(g.total))))
	clear(out)
	at := 0
	for _, r := range runs {
		source, from, n := sources[r.chunk], chunks[r.chunk].Offset()+r.row, int(r.n)
		switch {
		case source == nil:
			bitutil.SetBitsTo(out, int64(at), int64(n), true)
		case n == 1:
			if source[from>>3]&(1<<(from&7)) != 0 {
				out[at>>3] |= 1 << (at & 7)
			} else {
				g.nulls++
			}
		default:
			bitutil.CopyBitmap(source, from, n, out, at)
			g.nulls += n - bitutil.CountSetBits(source, from, n)
		}
		at += n
	}
}

func (g *gatherer) bits(chunks []arrow.ArrayData, runs []run) {
	out := g.buffer(int(bitutil.BytesForBits(int64(g.total))))
	clear(out)
	sources := make([][]byte, len(chunks))
	for i, d := range chunks {
		sources[i] = bitmap(d, 1)
	}
	at := 0
	for _, r := range runs {
		source, from, n := sources[r.chunk], chunks[r.chunk].Offset()+r.row, int(r.n)
		switch {
		case source == nil: // A chunk of nulls only may have no values.
		case n == 1:
			out[at>>3] |= source[from>>3] >> (from & 7) & 1 << (at & 7)
		default:
			bitutil.CopyBitmap(source, from, n, out, at)
		}
		at += n
	}
}

func (g *gatherer) fixed(t arrow.FixedWidthDataType, chunks []arrow.ArrayData, runs []run) error {
	width := t.BitWidth() / 8
	if width == 0 || t.BitWidth()%8 != 0 {
		return fmt.Errorf("rows of type %s cannot be gathered: %w", t, ErrUnsupported)
	}
	sources := make([][]byte, len(chunks))
	for i, d := range chunks {
		if b := bitmap(d, 1); b != nil {
			sources[i] = b[d.Offset()*width:]
		}
	}
	out := g.buffer(g.total * width)
	switch width {
	case 1:
		take(out, sources, runs)
	case 2:
		take(words[uint16](out), all[uint16](sources), runs)
	case 4:
		take(words[uint32](out), all[uint32](sources), runs)
	case 8:
		take(words[uint64](out), all[uint64](sources), runs)
	default:
		at := 0
		for _, r := range runs {
			n := int(r.n) * width
			if source := sources[r.chunk]; source != nil {
				copy(out[at:at+n], source[r.row*width:])
			} else {
				clear(out[at : at+n])
			}
			at += n
		}
	}
	return nil
}

// words shows bytes of an Arrow buffer, which is aligned to 8, as numbers.
func words[T any](b []byte) []T {
	var size = int(unsafe.Sizeof(*new(T)))
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/size)
}

func all[T any](sources [][]byte) [][]T {
	out := make([][]T, len(sources))
	for i, b := range sources {
		if b != nil {
			out[i] = words[T](b)
		}
	}
	return out
}

func take[T any](out []T, sources [][]T, runs []run) {
	at := 0
	for _, r := range runs {
		source, n := sources[r.chunk], int(r.n)
		switch {
		case source == nil: // A chunk of nulls only may have no values.
			clear(out[at : at+n])
		case n == 1:
			out[at] = source[r.row]
		default:
			copy(out[at:at+n], source[r.row:])
		}
		at += n
	}
}

// offsets adds the offsets buffer of what has variable length, and returns
// where the values of the rows lie in the chunks, as runs over the values.
func (g *gatherer) offsets(t arrow.DataType, chunks []arrow.ArrayData, runs []run) (values []run, total int, err error) {
	sources := make([][]int32, len(chunks))
	for i, d := range chunks {
		if b := bitmap(d, 1); len(b) > 0 {
			sources[i] = arrow.Int32Traits.CastFromBytes(b)[d.Offset():]
		}
	}
	out := words[int32](g.buffer((g.total + 1) * arrow.Int32SizeBytes))
	out[0] = 0
	values = make([]run, 0, len(runs))
	var end int64
	at := 0
	for _, r := range runs {
		source, n := sources[r.chunk], int(r.n)
		if source == nil { // A chunk without a value needs no offsets.
			for i := range n {
				out[at+1+i] = int32(end)
			}
			at += n
			continue
		}
		from := source[r.row]
		shift := end - int64(from)
		end += int64(source[r.row+n]) - int64(from)
		if end > math.MaxInt32 {
			return nil, 0, tooLarge(g.total, t)
		}
		for i := range n {
			out[at+1+i] = int32(int64(source[r.row+1+i]) + shift)
		}
		at += n
		if size := source[r.row+n] - from; size > 0 {
			values = append(values, run{int(from), size, r.chunk})
		}
	}
	return values, int(end), nil
}

func tooLarge(rows int, t arrow.DataType) error {
	return fmt.Errorf("%d rows of type %s have more values than an array takes: ask for smaller records: %w", rows, t, ErrInvalid)
}

func (g *gatherer) text(t arrow.DataType, chunks []arrow.ArrayData, runs []run) error {
	values, total, err := g.offsets(t, chunks, runs)
	if err != nil {
		return err
	}
	sources := make([][]byte, len(chunks))
	for i, d := range chunks {
		sources[i] = bitmap(d, 2)
	}
	out := g.buffer(total)
	at := 0
	for _, r := range values {
		source, n := sources[r.chunk], int(r.n)
		if n <= 8 && r.row+8 <= len(source) && at+8 <= len(out) {
			// Short texts in one move; what it writes too much is written over.
			binary.NativeEndian.PutUint64(out[at:], binary.NativeEndian.Uint64(source[r.row:]))
		} else {
			copy(out[at:], source[r.row:r.row+n])
		}
		at += n
	}
	return nil
}

// child gathers the values below the rows.
func (g *gatherer) child(t arrow.DataType, chunks []arrow.ArrayData, i int, runs []run, total int) error {
	below := make([]arrow.ArrayData, len(chunks))
	for c, d := range chunks {
		below[c] = d.Children()[i]
	}
	data, err := gather(g.mem, t, below, runs, total)
	if err != nil {
		return err
	}
	g.children = append(g.children, data)
	return nil
}

func (g *gatherer) lists(value arrow.DataType, chunks []arrow.ArrayData, runs []run) error {
	values, total, err := g.offsets(value, chunks, runs)
	if err != nil {
		return err
	}
	return g.child(value, chunks, 0, values, total)
}

func (g *gatherer) fixedLists(t *arrow.FixedSizeListType, chunks []arrow.ArrayData, runs []run) error {
	size := int(t.Len())
	if g.total > math.MaxInt32/max(size, 1) {
		return tooLarge(g.total, t)
	}
	values := make([]run, len(runs))
	for i, r := range runs {
		values[i] = run{(chunks[r.chunk].Offset() + r.row) * size, r.n * int32(size), r.chunk}
	}
	return g.child(t.Elem(), chunks, 0, values, g.total*size)
}

func (g *gatherer) fields(t *arrow.StructType, chunks []arrow.ArrayData, runs []run) error {
	shifted := make([]run, len(runs))
	for i, r := range runs {
		shifted[i] = run{chunks[r.chunk].Offset() + r.row, r.n, r.chunk}
	}
	for i, f := range t.Fields() {
		if err := g.child(f.Type, chunks, i, shifted, g.total); err != nil {
			return err
		}
	}
	return nil
}
