package profile

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// hllAlphabet writes a register of the distinct counter as one character.
const hllAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Bounds on what is read from outside: a sketch of 2^53 rows has at most 54
// levels, plus one that a compaction adds, and holds fewer values than this.
const (
	maxLevels = 55
	maxSketch = 1 << 14
)

type sketchJSON struct {
	// Levels holds the values of each level as the base64 of little-endian
	// float64s, ascending.
	Levels []string `json:"levels"`
	Flips  []uint64 `json:"flips"`
}

type columnJSON struct {
	Format     int         `json:"format"`
	Kind       Kind        `json:"kind,omitempty"`
	Rows       uint64      `json:"rows"`
	Nulls      uint64      `json:"nulls,omitempty"`
	NaN        uint64      `json:"nan,omitempty"`
	NegInf     uint64      `json:"negInf,omitempty"`
	PosInf     uint64      `json:"posInf,omitempty"`
	Range      *bounds     `json:"range,omitempty"`
	Mean       number      `json:"mean,omitempty"`
	SquareDiff number      `json:"m2,omitempty"`
	Values     []number    `json:"values,omitempty"`
	Categories []string    `json:"categories,omitempty"`
	Counts     []uint64    `json:"counts,omitempty"` // Of Values or of Categories.
	Lost       uint64      `json:"lost,omitempty"`
	Sketch     *sketchJSON `json:"sketch,omitempty"`
	Distinct   string      `json:"distinct,omitempty"`
}

// MarshalJSON writes the whole state of the summary: from about 100 bytes for a
// flag to some 50 KB for a long numeric column. Equal columns give equal bytes.
func (c *Column) MarshalJSON() ([]byte, error) {
	w := columnJSON{
		Format: format, Kind: c.kind, Rows: c.rows, Nulls: c.nulls,
		NaN: c.nan, NegInf: c.negInf, PosInf: c.posInf, Lost: c.cat.lost,
	}
	if c.num.n > 0 {
		w.Range = &bounds{number(c.num.min), number(c.num.max)}
		w.Mean, w.SquareDiff = number(c.num.mean), number(c.num.m2)
	}
	for _, v := range c.num.few {
		w.Values = append(w.Values, number(v.value))
		w.Counts = append(w.Counts, v.count)
	}
	if c.num.sketched {
		w.Sketch = c.num.kll.encode()
	}
	for _, t := range c.cat.top(len(c.cat.counts)) {
		w.Categories = append(w.Categories, t.Value)
		w.Counts = append(w.Counts, t.Count)
	}
	w.Distinct = c.num.hll.encode() + c.cat.hll.encode() // At most one of them is in use.
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. It returns ErrInvalid, with c
// unchanged, when that is damaged, and ErrUnsupported when a newer version of
// the library wrote it.
func (c *Column) UnmarshalJSON(data []byte) error {
	var w columnJSON
	if err := decode("column", data, &w); err != nil {
		return err
	}
	n := Column{kind: w.Kind, rows: w.Rows, nulls: w.Nulls, nan: w.NaN, negInf: w.NegInf, posInf: w.PosInf}
	var f errs.Faults
	apart, ok := total(w.Nulls, w.NaN, w.NegInf, w.PosInf)
	f.Check(ok && w.Rows <= maxRows && apart <= w.Rows, "more nulls than rows, or more than 2^53 rows")
	if err := f.Err("profile: read column"); err != nil {
		return err
	}
	switch w.Kind {
	case "":
		f.Check(w.Nulls == w.Rows, "values without a kind")
		f.Check(w.Range == nil && len(w.Values)+len(w.Categories)+len(w.Counts) == 0, "values without a kind")
		f.Check(w.Sketch == nil && w.Distinct == "" && w.Lost == 0, "sketches without a kind")
	case Numeric:
		n.num.n = w.Rows - apart
		f.Check(len(w.Categories) == 0 && w.Lost == 0, "categories of a numeric column")
		w.numbers(&n.num, &f)
	case Categorical:
		f.Check(apart == w.Nulls, "infinities of a categorical column")
		f.Check(w.Range == nil && len(w.Values) == 0 && w.Sketch == nil, "numbers of a categorical column")
		w.categories(&n.cat, w.Rows-apart, &f)
	default:
		f.Addf("kind is %q", w.Kind)
	}
	if err := f.Err("profile: read column"); err != nil {
		return err
	}
	*c = n
	return nil
}

func (w *columnJSON) numbers(s *numbers, f *errs.Faults) {
	if s.n == 0 {
		f.Check(w.Range == nil && w.Sketch == nil && w.Distinct == "", "a range of no rows")
		f.Check(len(w.Values) == 0 && len(w.Counts) == 0, "counts of no rows")
		return
	}
	if w.Range == nil || !w.Range.valid() {
		f.Addf("range is missing, or not finite and ascending")
		return
	}
	s.min, s.max = float64(w.Range[0]), float64(w.Range[1])
	s.mean, s.m2 = float64(w.Mean), float64(w.SquareDiff)
	if w.Sketch != nil {
		f.Check(len(w.Values) == 0 && len(w.Counts) == 0, "exact counts beside a sketch")
		s.sketched = true
		s.kll.decode(w.Sketch, s, f)
		s.hll.decode(w.Distinct, f)
		f.Check(w.Distinct != "", "a sketch without a distinct counter")
		return
	}
	f.Check(w.Distinct == "", "a distinct counter beside exact counts")
	if len(w.Values) != len(w.Counts) || len(w.Values) > maxExact || len(w.Values) == 0 || !ascending(w.Values) {
		f.Addf("%d counts of %d values, want one of each of 1 to %d ascending values", len(w.Counts), len(w.Values), maxExact)
		return
	}
	sum, ok := total(w.Counts...)
	f.Check(ok && sum == s.n && !slices.Contains(w.Counts, 0), "counts do not add up to the %d numbers", s.n)
	f.Check(w.Values[0] == w.Range[0] && w.Values[len(w.Values)-1] == w.Range[1], "range is not that of the values")
	for i, v := range w.Values {
		s.few = append(s.few, weighted{float64(v) + 0, w.Counts[i]})
	}
}

func (w *columnJSON) categories(s *categories, rows uint64, f *errs.Faults) {
	if len(w.Categories) != len(w.Counts) || len(w.Categories) > maxCategories {
		f.Addf("%d counts of %d categories, want one of each of at most %d", len(w.Counts), len(w.Categories), maxCategories)
		return
	}
	f.Check(distinctCategories(w.Categories), "categories are repeated, too long or not UTF-8")
	sum, ok := total(w.Counts...)
	f.Check(ok && sum <= rows && !slices.Contains(w.Counts, 0), "counts exceed the %d categories", rows)
	f.Check((w.Lost == 0) == (sum == rows) && w.Lost <= rows/(keepCategories+1), "counts do not add up to the %d categories", rows)
	f.Check((w.Lost == 0) == (w.Distinct == ""), "a distinct counter goes with estimated counts")
	s.lost = w.Lost
	s.hll.decode(w.Distinct, f)
	for i, text := range w.Categories {
		s.count(text, w.Counts[i])
	}
}

func (s *kll) encode() *sketchJSON {
	w := &sketchJSON{Levels: make([]string, len(s.levels)), Flips: s.flips}
	for h, lv := range s.levels {
		if h == 0 {
			lv = slices.Clone(lv)
			slices.Sort(lv) // Its order means nothing, and must not show.
		}
		raw := make([]byte, 0, 8*len(lv))
		for _, v := range lv {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		}
		w.Levels[h] = base64.RawStdEncoding.EncodeToString(raw)
	}
	return w
}

func (s *kll) decode(w *sketchJSON, in *numbers, f *errs.Faults) {
	if len(w.Levels) == 0 || len(w.Levels) > maxLevels || len(w.Flips) != len(w.Levels) {
		f.Addf("a sketch of %d levels and %d counters, want as many, at most %d", len(w.Levels), len(w.Flips), maxLevels)
		return
	}
	s.grow(len(w.Levels))
	s.flips = w.Flips
	var rows uint64
	for h, text := range w.Levels {
		level, err := decodeLevel(text, in)
		if err != nil {
			f.Addf("sketch level %d: %v", h, err)
			return
		}
		s.levels[h] = level
		s.size += len(level)
		if s.size > maxSketch || w.Flips[h] > maxRows || uint64(len(level)) > (in.n-rows)>>h {
			f.Addf("sketch holds more than the %d numbers, or more than %d values", in.n, maxSketch)
			return
		}
		rows += uint64(len(level)) << h
	}
	f.Check(rows == in.n, "sketch stands for %d numbers, want %d", rows, in.n)
	if rows == in.n {
		s.shrink()
	}
}

func decodeLevel(text string, in *numbers) ([]float64, error) {
	if len(text) > base64.RawStdEncoding.EncodedLen(8*maxSketch) {
		return nil, fmt.Errorf("more than %d values", maxSketch)
	}
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(raw)%8 != 0 {
		return nil, errors.New("not the base64 of 64-bit numbers")
	}
	level := make([]float64, len(raw)/8)
	for i := range level {
		v := math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		if !(v >= in.min && v <= in.max) || i > 0 && v < level[i-1] {
			return nil, errors.New("values are not ascending, or outside the range")
		}
		level[i] = v + 0
	}
	return level, nil
}

func (s *hll) encode() string {
	var text strings.Builder
	for _, r := range s.registers {
		text.WriteByte(hllAlphabet[min(r, hllMax)])
	}
	return text.String()
}

func (s *hll) decode(text string, f *errs.Faults) {
	if text == "" {
		return
	}
	if len(text) != hllSize {
		f.Addf("a distinct counter of %d registers, want %d", len(text), hllSize)
		return
	}
	s.registers = make([]uint8, hllSize)
	for i := range len(text) {
		r := strings.IndexByte(hllAlphabet, text[i])
		if r < 0 || r > hllMax {
			f.Addf("a distinct counter with an impossible register")
			return
		}
		s.registers[i] = uint8(r)
	}
}
