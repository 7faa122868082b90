package monitor

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
)

// SchemaCounts counts what does not fit the reference, in rows that come
// through an encoder. Nothing of it is lost: a row of a wrong type or without
// a feature is counted with that value missing.
type SchemaCounts struct {
	// Absent counts the values that rows did not have at all, Mistyped those
	// of a type that the feature cannot be read from.
	Absent, Mistyped uint64
	// Unknown counts the rows with values that are no feature.
	Unknown uint64
	// Mismatched counts the rows of a StructEncoder whose type does not fit
	// the reference since Reset. They are not counted elsewhere.
	Mismatched uint64
}

type schema struct{ absent, mistyped, unknown, mismatched atomic.Uint64 }

func (s *schema) counts() SchemaCounts {
	return SchemaCounts{s.absent.Load(), s.mistyped.Load(), s.unknown.Load(), s.mismatched.Load()}
}

func (s *schema) set(c SchemaCounts) {
	s.absent.Store(c.Absent)
	s.mistyped.Store(c.Mistyped)
	s.unknown.Store(c.Unknown)
	s.mismatched.Store(c.Mismatched)
}

// MapEncoder turns maps from feature names to values, as decoded JSON has them,
// into rows. Numbers, bools, strings, byte slices and json.Number are read as a
// StructEncoder reads fields; nil is a missing value. What does not fit shows
// in Snapshot.Schema. It follows Reset by itself and is safe for concurrent
// use.
type MapEncoder struct {
	monitor *Monitor
	rows    sync.Pool // Of *[]float64.
}

// NewMapEncoder returns an encoder for the monitor.
func NewMapEncoder(m *Monitor) (*MapEncoder, error) {
	if m == nil {
		return nil, fmt.Errorf("monitor: map encoder: the monitor is nil: %w", ErrInvalid)
	}
	return &MapEncoder{monitor: m, rows: sync.Pool{New: func() any { return new([]float64) }}}, nil
}

// Encode returns the row of v, in dst if that is long enough.
func (s *MapEncoder) Encode(dst []float64, v map[string]any) []float64 {
	e, counts := s.monitor.Encoder(), &s.monitor.schema
	dst = resize(dst, e.Len())
	known := 0
	for j := range dst {
		value, ok := v[e.Name(j)]
		if !ok {
			counts.absent.Add(1)
			dst[j] = math.NaN()
			continue
		}
		known++
		slot, fits := e.value(j, value)
		if !fits {
			counts.mistyped.Add(1)
		}
		dst[j] = slot
	}
	if known < len(v) {
		counts.unknown.Add(1)
	}
	return dst
}

// Observe is Monitor.Observe of the row of v. It allocates nothing once it is
// warm.
func (s *MapEncoder) Observe(v map[string]any, score float64, id ID) {
	row := s.rows.Get().(*[]float64)
	*row = s.Encode(*row, v)
	s.monitor.Observe(*row, score, id)
	s.rows.Put(row)
}

// value returns the slot of a feature's value: NaN and false when it cannot be
// read as one.
func (e *Encoder) value(feature int, v any) (float64, bool) {
	s := step{slot: feature, code: e.Categorical(feature)}
	var text [32]byte
	switch v := v.(type) {
	case nil:
		return math.NaN(), true
	case float64:
		return s.float(e, v, text[:0], 64), true
	case string:
		return e.Category(feature, v), s.code
	case bool:
		return s.bool(e, v, text[:0]), true
	case int:
		return s.int(e, int64(v), text[:0]), true
	case int64:
		return s.int(e, v, text[:0]), true
	case float32:
		return s.float(e, float64(v), text[:0], 32), true
	case int32:
		return s.int(e, int64(v), text[:0]), true
	case int16:
		return s.int(e, int64(v), text[:0]), true
	case int8:
		return s.int(e, int64(v), text[:0]), true
	case uint:
		return s.uint(e, uint64(v), text[:0]), true
	case uint64:
		return s.uint(e, v, text[:0]), true
	case uint32:
		return s.uint(e, uint64(v), text[:0]), true
	case uint16:
		return s.uint(e, uint64(v), text[:0]), true
	case uint8:
		return s.uint(e, uint64(v), text[:0]), true
	case []byte:
		return e.CategoryBytes(feature, v), s.code
	case json.Number:
		if s.code {
			return e.Category(feature, string(v)), true
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil && f == 0 {
			return math.NaN(), false
		}
		return f, true // Beyond the largest number it is infinite.
	}
	return math.NaN(), false
}
