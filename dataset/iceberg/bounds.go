package iceberg

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
)

// columnStats are what a manifest says about one column of a file, by which
// readers leave files out.
type columnStats struct {
	id     int
	nulls  int64 // -1 when unknown.
	lo, hi []byte
}

// fileStats are those of the columns of a file of which anything is known, by
// their ids.
func (e *export) fileStats(t *table, i int) []columnStats {
	known := e.version.Statistics(i)
	var out []columnStats
	for k, f := range e.version.Schema().Fields() {
		s, ok := known[f.Name]
		if !ok {
			continue
		}
		c := columnStats{id: t.schema.Fields[k].ID, nulls: s.Nulls}
		if !s.NaN || f.Type.ID() != arrow.FLOAT32 && f.Type.ID() != arrow.FLOAT64 {
			c.lo, c.hi = bound(f.Type, s.Min), bound(f.Type, s.Max)
		}
		if c.nulls >= 0 || c.lo != nil || c.hi != nil {
			out = append(out, c)
		}
	}
	return out
}

// bound is a value in the binary form of the specification's table "Binary
// single-value serialization"; nil for none.
func bound(t arrow.DataType, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return []byte{1}
		}
		return []byte{0}
	case int64:
		switch t.ID() {
		case arrow.INT8, arrow.INT16, arrow.INT32, arrow.DATE32:
			if v < math.MinInt32 || v > math.MaxInt32 {
				return nil
			}
			return binary.LittleEndian.AppendUint32(nil, uint32(int32(v)))
		default:
			return binary.LittleEndian.AppendUint64(nil, uint64(v))
		}
	case float64:
		if t.ID() == arrow.FLOAT32 {
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v)))
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
	case string:
		if t.ID() == arrow.STRING {
			return []byte(v)
		}
	case decimal128.Num:
		return twosComplement(v)
	}
	return nil
}

// twosComplement is a number in as few bytes as hold it, the highest first.
func twosComplement(v decimal128.Num) []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(v.HighBits()))
	out = binary.BigEndian.AppendUint64(out, v.LowBits())
	sign := byte(0)
	if v.Sign() < 0 {
		sign = 0xff
	}
	for len(out) > 1 && out[0] == sign && out[1]&0x80 == sign&0x80 {
		out = out[1:]
	}
	return out
}

// stats writes the optional maps of a data file.
func (w *avroValue) stats(rows int64, list []columnStats) {
	each := func(has func(c columnStats) bool, put func(c columnStats)) {
		some := slices.DeleteFunc(slices.Clone(list), func(c columnStats) bool { return !has(c) })
		if len(some) == 0 {
			w.null()
			return
		}
		w.some()
		w.long(int64(len(some)))
		for _, c := range some {
			w.long(int64(c.id))
			put(c)
		}
		w.long(0)
	}
	counted := func(c columnStats) bool { return c.nulls >= 0 }
	each(counted, func(columnStats) { w.long(rows) })
	each(counted, func(c columnStats) { w.long(c.nulls) })
	each(func(c columnStats) bool { return c.lo != nil }, func(c columnStats) { w.text(string(c.lo)) })
	each(func(c columnStats) bool { return c.hi != nil }, func(c columnStats) { w.text(string(c.hi)) })
}
