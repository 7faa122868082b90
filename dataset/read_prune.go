package dataset

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/decimal128"

	arrow18 "github.com/apache/arrow-go/v18/arrow"

	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// prune judges a row group by its statistics, Bloom filters and page index; ok
// is false when none of its rows can match.
func (p *readPlan) prune(l *loaded, group int) (w wantedGroup, ok bool) {
	w = wantedGroup{index: group}
	rows := l.file.Rows(group)
	if p.bound == nil || rows == 0 {
		return w, rows > 0
	}
	if p.except {
		return w, true
	}
	nan := p.mayHoldNaN(l.from)
	verdict := p.bound.Prune(rows, func(name string) filter.Stats {
		column, field := l.column(p, name)
		if column < 0 {
			return filter.Stats{Nulls: rows}
		}
		s := statsOf(field.Type, l.file.Schema().Field(column).Type, l.file.Bounds(group, column), nan[name])
		s.MayHold = bloomOf(l.file, group, column)
		return s
	})
	switch verdict {
	case filter.None:
		return w, false
	case filter.All:
		w.all = true
		return w, true
	}
	w.rows = p.prunePages(l, group, nan)
	return w, w.rows == nil || w.rows.Count() > 0
}

// column finds a column of Where in the file.
func (l *loaded) column(p *readPlan, name string) (int, arrow.Field) {
	for i, f := range p.fields[:p.tested] {
		if f.Name == name {
			return l.columns[i], f
		}
	}
	return -1, arrow.Field{}
}

// mayHoldNaN tells for each float column of Where whether the file may have a
// NaN in it, of which Parquet's statistics say nothing.
func (p *readPlan) mayHoldNaN(f *dataFile) map[string]bool {
	stats := filter.ParseStats(f.stats)
	out := map[string]bool{}
	for _, field := range p.fields[:p.tested] {
		switch field.Type.ID() {
		case arrow.FLOAT32, arrow.FLOAT64:
			out[field.Name] = stats.Column(field, f.own()).NaN
		}
	}
	return out
}

// prunePages finds the rows of a group that its page index does not rule out;
// nil when it says nothing.
func (p *readPlan) prunePages(l *loaded, group int, nan map[string]bool) *filter.Mask {
	rows := l.file.Rows(group)
	pages := map[string][]pqfile.Page{}
	borders := []int64{0, rows}
	for i, f := range p.fields[:p.tested] {
		if l.columns[i] < 0 {
			continue
		}
		list := l.file.Pages(group, l.columns[i])
		if len(list) < 2 {
			continue
		}
		pages[f.Name] = list
		for _, page := range list {
			borders = append(borders, page.From)
		}
	}
	if len(pages) == 0 {
		return nil
	}
	slices.Sort(borders)
	borders = slices.Compact(borders)
	var kept [][2]int
	for i, from := range borders[:len(borders)-1] {
		to := borders[i+1]
		verdict := p.bound.Prune(to-from, func(name string) filter.Stats {
			column, field := l.column(p, name)
			if column < 0 {
				return filter.Stats{Nulls: to - from}
			}
			list := pages[name]
			at, _ := slices.BinarySearchFunc(list, from, func(page pqfile.Page, row int64) int {
				if page.To <= row {
					return -1
				}
				return 1
			})
			if at >= len(list) {
				return filter.Stats{Nulls: -1, NaN: true}
			}
			bounds := list[at].Bounds
			switch bounds.Nulls {
			case 0:
			case list[at].To - list[at].From:
				bounds.Nulls = to - from
			default:
				bounds.Nulls = -1 // Of the page; those of a part are not known.
			}
			return statsOf(field.Type, l.file.Schema().Field(column).Type, bounds, nan[name])
		})
		if verdict != filter.None {
			kept = append(kept, [2]int{int(from), int(to)})
		}
	}
	return filter.MaskOf(int(rows), func(yield func(int, int) bool) {
		for _, k := range kept {
			if !yield(k[0], k[1]) {
				return
			}
		}
	})
}

// statsOf makes statistics of a file's column what they are for the table's
// column. Bounds of values that are laid out otherwise are left out.
func statsOf(table arrow.DataType, file arrow18.DataType, b pqfile.Bounds, nan bool) filter.Stats {
	out := filter.Stats{Nulls: b.Nulls, NaN: nan}
	if b.Min == nil || b.Max == nil || !sameMeaning(table, file) {
		return out
	}
	lo, hi := plainValue(table, b.Min), plainValue(table, b.Max)
	if lo != nil && hi != nil {
		out.Min, out.Max = lo, hi
	}
	return out
}

// sameMeaning tells whether a stored value is the value of the table's column:
// whole numbers may be stored in fewer bits.
func sameMeaning(table arrow.DataType, file arrow18.DataType) bool {
	switch t := table.(type) {
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type:
		return arrow18.IsSignedInteger(file.ID())
	case *arrow.Float32Type, *arrow.Float64Type:
		return file.ID() == arrow18.FLOAT32 || file.ID() == arrow18.FLOAT64
	case *arrow.Decimal128Type:
		d, ok := file.(*arrow18.Decimal128Type)
		return ok && d.Scale == t.Scale
	case *arrow.TimestampType:
		s, ok := file.(*arrow18.TimestampType)
		return ok && s.Unit.String() == t.Unit.String()
	case *arrow.Date32Type:
		return file.ID() == arrow18.DATE32
	case *arrow.StringType:
		return file.ID() == arrow18.STRING
	case *arrow.BooleanType:
		return file.ID() == arrow18.BOOL
	}
	return file.ID() == arrow18.BINARY && table.ID() == arrow.BINARY
}

// plainValue reads one value in Parquet's plain encoding as package filter wants
// it; nil when it cannot.
func plainValue(t arrow.DataType, raw []byte) any {
	switch t.ID() {
	case arrow.BOOL:
		if len(raw) == 1 {
			return raw[0] == 1
		}
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.DATE32, arrow.TIMESTAMP:
		switch len(raw) {
		case 4:
			return int64(int32(binary.LittleEndian.Uint32(raw)))
		case 8:
			return int64(binary.LittleEndian.Uint64(raw))
		}
	case arrow.FLOAT32, arrow.FLOAT64:
		var v float64
		switch len(raw) {
		case 4:
			v = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		case 8:
			v = math.Float64frombits(binary.LittleEndian.Uint64(raw))
		}
		if len(raw) >= 4 && v == v {
			return v
		}
	case arrow.STRING, arrow.BINARY:
		return string(raw)
	case arrow.DECIMAL128:
		return decimalValue(raw)
	}
	return nil
}

// decimalValue reads a big-endian two's complement.
func decimalValue(raw []byte) any {
	if len(raw) == 0 || len(raw) > 16 {
		return nil
	}
	v := new(big.Int).SetBytes(raw)
	if raw[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	if v.BitLen() > 126 {
		return nil
	}
	return decimal128.FromBigInt(v)
}

// bloomOf asks the Bloom filter of a column for a value.
func bloomOf(file *pqfile.File, group, column int) func(any) bool {
	t := file.Schema().Field(column).Type
	return func(v any) bool {
		var raw []byte
		switch v := v.(type) {
		case int64:
			raw = binary.LittleEndian.AppendUint64(nil, uint64(v))
			if w, ok := t.(arrow18.FixedWidthDataType); ok && w.BitWidth() <= 32 {
				raw = raw[:4]
			}
		case string:
			raw = []byte(v)
		default:
			return true
		}
		may, known := file.MayHold(group, column, raw)
		return may || !known
	}
}
