package ingest

import (
	"bytes"
	"math"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// kinds are the types that a text can be read as.
type kinds uint8

const (
	asBool kinds = 1 << iota
	asInt
	asFloat
	asDate
	asTime  // With a zone.
	asLocal // A time without one.

	anything = asBool | asInt | asFloat | asDate | asTime | asLocal
)

// kindsOf says as what a text can be read so that nothing is lost.
func kindsOf(text []byte) kinds {
	if len(text) == 0 {
		return 0
	}
	switch c := text[0]; {
	case c == '-', c == '+', c == '.', c-'0' <= 9:
		if k := numberKinds(text); k != 0 {
			return k
		}
		if _, rest, ok := parseDay(text); ok {
			if len(rest) == 0 {
				return asDate
			}
			if _, zoned, reason := parseTime(text, clock{zone: time.UTC, round: true}); reason == "" {
				if zoned {
					return asTime
				}
				return asLocal
			}
		}
	default:
		if _, ok := parseBool(text); ok {
			return asBool
		}
		if notFinite(text) {
			return asFloat
		}
	}
	return 0
}

func notFinite(text []byte) bool {
	switch string(text) {
	case "NaN", "nan", "inf", "Inf", "INF", "Infinity", "infinity":
		return true
	}
	return false
}

// numberKinds tells numbers from codes: a sign + or a zero in front, or more
// digits than an int64 has, would be lost.
func numberKinds(text []byte) kinds {
	body := text
	if body[0] == '-' {
		body = body[1:]
		if notFinite(body) {
			return asFloat
		}
	}
	if len(body) == 0 || body[0] == '+' || len(body) > 1 && body[0] == '0' && body[1]-'0' <= 9 {
		return 0
	}
	whole := true
	for _, c := range body {
		whole = whole && c-'0' <= 9
	}
	if whole {
		if _, reason := parseInt(text, math.MinInt64, math.MaxInt64, ""); reason != "" {
			return 0
		}
		return asInt | asFloat
	}
	if c := body[len(body)-1]; c != '.' && c-'0' > 9 {
		return 0
	}
	if _, reason := parseFloat(text, 64); reason != "" {
		return 0
	}
	return asFloat
}

// typeOf chooses for a column whose texts could all be read as k; local says
// that there are times without a zone, which Options must explain.
func typeOf(k kinds) (t arrow.DataType, local bool) {
	switch {
	case k == anything: // There was nothing.
	case k&asBool != 0:
		return arrow.FixedWidthTypes.Boolean, false
	case k&asInt != 0:
		return arrow.PrimitiveTypes.Int64, false
	case k&asFloat != 0:
		return arrow.PrimitiveTypes.Float64, false
	case k&asDate != 0:
		return arrow.FixedWidthTypes.Date32, false
	case k&asTime != 0:
		return arrow.FixedWidthTypes.Timestamp_us, false
	case k&asLocal != 0:
		return arrow.FixedWidthTypes.Timestamp_us, true
	}
	return arrow.BinaryTypes.String, false
}

// shape is what the values of one JSON name were.
type shape struct {
	seen   bool // Any value that is not null.
	scalar kinds
	plain  bool // Some scalar was seen.
	order  []string
	fields map[string]*shape // Not nil for objects.
	elem   *shape            // Not nil for arrays.
}

func newShape() *shape { return &shape{scalar: anything} }

// field starts the shape of a name that is new.
func (s *shape) field(name string) *shape {
	f := newShape()
	s.fields[name] = f
	s.order = append(s.order, name)
	return f
}

// learn takes one value in; it moves past it.
func (s *shape) learn(t *jsonText, depth int) (reason string) {
	if depth > maxDepth {
		return "is nested too deep"
	}
	start := t.pos
	switch t.peek() {
	case '{':
		if s.fields == nil {
			s.fields = map[string]*shape{}
		}
		s.seen = true
		t.pos++
		for first := true; !t.take('}'); first = false {
			if !first && !t.take(',') || t.peek() != '"' {
				return "is not JSON"
			}
			name, reason := t.text()
			if reason != "" {
				return reason
			}
			f := s.fields[string(name)]
			if f == nil {
				f = s.field(string(name))
			}
			if !t.take(':') {
				return "is not JSON"
			}
			if reason := f.learn(t, depth+1); reason != "" {
				return reason
			}
		}
		return ""
	case '[':
		if s.elem == nil {
			s.elem = newShape()
		}
		s.seen = true
		t.pos++
		for first := true; !t.take(']'); first = false {
			if !first && !t.take(',') {
				return "is not JSON"
			}
			if reason := s.elem.learn(t, depth+1); reason != "" {
				return reason
			}
		}
		return ""
	case '"':
		text, reason := t.text()
		if reason != "" {
			return reason
		}
		s.add(kindsOf(text) & (asDate | asTime | asLocal))
		return ""
	}
	switch {
	case t.word("null"):
	case t.word("true"), t.word("false"):
		s.add(asBool)
	default:
		text, whole, ok := t.number()
		if !ok {
			t.pos = start
			return "is not JSON"
		}
		switch _, reason := parseInt(text, math.MinInt64, math.MaxInt64, ""); {
		case !whole:
			s.add(asFloat)
		case reason == "":
			s.add(asInt | asFloat)
		default:
			s.add(0) // Too long for any number: kept as it stands.
		}
	}
	return ""
}

func (s *shape) add(k kinds) {
	s.seen, s.plain = true, true
	s.scalar &= k
}

// dataType says what holds all the values; why is a fault, local is as for
// typeOf.
func (s *shape) dataType() (t arrow.DataType, local bool, why string) {
	switch {
	case s.fields != nil && s.elem != nil:
		return nil, false, "holds objects and arrays"
	case s.fields != nil && s.plain:
		return nil, false, "holds objects and plain values"
	case s.elem != nil && s.plain:
		return nil, false, "holds arrays and plain values"
	case s.fields != nil:
		if len(s.order) == 0 {
			return arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String), false, ""
		}
		fields := make([]arrow.Field, len(s.order))
		for i, name := range s.order {
			inner, l, why := s.fields[name].dataType()
			if why != "" {
				return nil, false, "." + name + " " + why
			}
			local = local || l
			fields[i] = arrow.Field{Name: name, Type: inner, Nullable: true}
		}
		return arrow.StructOf(fields...), local, ""
	case s.elem != nil:
		inner, l, why := s.elem.dataType()
		if why != "" {
			return nil, false, "[] " + why
		}
		return arrow.ListOf(inner), l, ""
	}
	t, local = typeOf(s.scalar)
	return t, local, ""
}

// lines yields the whole lines of a sample; the last one only when the sample
// ends there.
func lines(in *input) [][]byte {
	data := bytes.TrimPrefix(in.sample, bom)
	if !in.whole {
		data = data[:bytes.LastIndexByte(data, '\n')+1]
	}
	return bytes.Split(data, newline)
}
