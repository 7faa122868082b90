package filter

import (
	"encoding/json"
	"math"
	"math/big"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
)

// FileStats are the statistics of one file as a Delta log keeps them
// (add.stats).
type FileStats struct {
	Rows  int64 // -1 when the text does not say.
	lo    map[string]json.RawMessage
	hi    map[string]json.RawMessage
	nulls map[string]json.RawMessage
}

// ParseStats reads add.stats. Text that is no such thing knows nothing, which
// is never wrong.
func ParseStats(stats string) FileStats {
	var s struct {
		NumRecords *int64                     `json:"numRecords"`
		Min        map[string]json.RawMessage `json:"minValues"`
		Max        map[string]json.RawMessage `json:"maxValues"`
		Nulls      map[string]json.RawMessage `json:"nullCount"`
	}
	if err := json.Unmarshal([]byte(stats), &s); err != nil || s.NumRecords == nil || *s.NumRecords < 0 {
		return FileStats{Rows: -1}
	}
	return FileStats{*s.NumRecords, s.Min, s.Max, s.Nulls}
}

// Column gives what the statistics say about a column. Any writer's are
// trusted for what the protocol promises: bounds may be cut or rounded, and
// those of floats say nothing about NaN unless the writer is ours, which puts
// an infinite bound where there is one.
func (s FileStats) Column(f arrow.Field, ours bool) Stats {
	out := Stats{Nulls: -1, NaN: true}
	if s.Rows < 0 {
		return out
	}
	if raw, ok := s.nulls[f.Name]; ok {
		var n int64
		if json.Unmarshal(raw, &n) == nil && n >= 0 && n <= s.Rows {
			out.Nulls = n
		}
	}
	out.Min, out.Max = limit(f.Type, s.lo[f.Name], false), limit(f.Type, s.hi[f.Name], true)
	if hi, ok := out.Max.(float64); ok {
		out.NaN = !ours || math.IsInf(hi, 1)
	}
	return out
}

// PruneJSON judges a file by its add.stats. ours says that this module wrote
// them, and no other writer.
func (b *Bound) PruneJSON(stats string, ours bool) Verdict {
	s := ParseStats(stats)
	fields := make(map[string]arrow.Field, len(b.columns))
	for _, f := range b.columns {
		fields[f.Name] = f
	}
	rows := s.Rows
	if rows < 0 {
		rows = math.MaxInt64
	}
	return b.Prune(rows, func(name string) Stats { return s.Column(fields[name], ours) })
}

// limit reads one bound; nil when it is absent or unusable.
func limit(t arrow.DataType, raw json.RawMessage, upper bool) any {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var s string
	quoted := json.Unmarshal(raw, &s) == nil
	switch t := t.(type) {
	case *arrow.BooleanType:
		var v bool
		if json.Unmarshal(raw, &v) == nil {
			return v
		}
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type:
		var v int64
		if json.Unmarshal(raw, &v) == nil {
			return v
		}
	case *arrow.Float32Type, *arrow.Float64Type:
		return floatLimit(raw, s, quoted)
	case *arrow.Decimal128Type:
		return decimalLimit(t, string(raw))
	case *arrow.StringType:
		if quoted {
			return s
		}
	case *arrow.Date32Type:
		if at, err := time.Parse(time.DateOnly, s); err == nil {
			return floorDiv(at.Unix(), 86400)
		}
	case *arrow.TimestampType:
		at, err := parseTime(s)
		if err != nil || t.Unit != arrow.Microsecond {
			return nil
		}
		if upper {
			// Writers cut to milliseconds, the upper bound too.
			at = at.Add(time.Millisecond)
		}
		return at.UnixMicro()
	}
	return nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floatLimit(raw json.RawMessage, s string, quoted bool) any {
	if quoted {
		switch s {
		case "Infinity", "inf", "+Infinity":
			return math.Inf(1)
		case "-Infinity", "-inf":
			return math.Inf(-1)
		}
		return nil
	}
	var v float64
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	return v
}

// decimalLimit reads a decimal exactly; one that does not fit the scale was not
// written for this column.
func decimalLimit(t *arrow.Decimal128Type, raw string) any {
	r, err := rational(raw)
	if err != nil {
		return nil
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Scale)), nil)
	r.Mul(r, new(big.Rat).SetInt(scale))
	if !r.IsInt() || r.Num().BitLen() > 126 {
		return nil
	}
	return decimal128.FromBigInt(r.Num())
}
