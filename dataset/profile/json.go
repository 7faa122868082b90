package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/millwright-ml/millwright/internal/errs"
)

// format is the version of the JSON written by this package. A change that an
// older reader would misread raises it.
const format = 1

// number is a float64 that survives JSON whatever it is: JSON has no infinity
// and no NaN, so these are strings.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	v := float64(n)
	if v-v != 0 {
		return strconv.AppendQuote(nil, strconv.FormatFloat(v, 'g', -1, 64)), nil
	}
	return json.Marshal(v)
}

func (n *number) UnmarshalJSON(b []byte) error {
	var text string
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		switch text {
		case "NaN":
			*n = number(math.NaN())
		case "+Inf":
			*n = number(math.Inf(1))
		case "-Inf":
			*n = number(math.Inf(-1))
		default:
			return fmt.Errorf("%q is not a number", text)
		}
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

func (n number) finite() bool { return n-n == 0 }

// bounds is the smallest and the largest of some numbers.
type bounds [2]number

func (b *bounds) valid() bool { return b[0].finite() && b[1].finite() && b[0] <= b[1] }

func toNumbers(vs []float64) []number {
	out := make([]number, len(vs))
	for i, v := range vs {
		out[i] = number(v)
	}
	return out
}

func toFloats(ns []number) []float64 {
	out := make([]float64, len(ns))
	for i, n := range ns {
		out[i] = float64(n)
	}
	return out
}

// ascending reports whether the numbers are finite and strictly ascending.
func ascending(vs []number) bool {
	for i, v := range vs {
		if !v.finite() || i > 0 && v <= vs[i-1] {
			return false
		}
	}
	return true
}

// total adds counts up, and fails where they could not have come from Rows.
func total(counts ...uint64) (uint64, bool) {
	var sum uint64
	for _, n := range counts {
		if n > maxRows || sum > maxRows-n {
			return 0, false
		}
		sum += n
	}
	return sum, true
}

// decode reads JSON that carries a format version.
func decode(what string, data []byte, v any) error {
	var head struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("profile: read %s: %v: %w", what, err, ErrInvalid)
	}
	switch {
	case head.Format == nil:
		return fmt.Errorf("profile: read %s: no format version, so it is something else: %w", what, ErrInvalid)
	case *head.Format > format:
		return fmt.Errorf("profile: read %s: format %d was written by a newer version than this, which reads %d: %w", what, *head.Format, format, ErrUnsupported)
	case *head.Format != format:
		return fmt.Errorf("profile: read %s: format is %d, want %d: %w", what, *head.Format, format, ErrInvalid)
	}
	return decodeBody(what, data, v)
}

func decodeBody(what string, data []byte, v any) error {
	err := json.Unmarshal(data, v)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrUnsupported):
		return err // Of a part, which has said it all.
	default:
		return fmt.Errorf("profile: read %s: %v: %w", what, err, ErrInvalid)
	}
}

type binsJSON struct {
	Kind       Kind     `json:"kind"`
	Edges      []number `json:"edges,omitempty"`
	Values     []number `json:"values,omitempty"`
	Categories []string `json:"categories,omitempty"`
	Range      *bounds  `json:"range,omitempty"`
	Shift      number   `json:"shift,omitempty"`
	Counts     []uint64 `json:"counts"`
	Nulls      uint64   `json:"nulls,omitempty"`
	NonFinite  uint64   `json:"nonFinite,omitempty"`
	Below      uint64   `json:"below,omitempty"`
	Above      uint64   `json:"above,omitempty"`
	Sum        number   `json:"sum,omitempty"`
	SumSq      number   `json:"sumSq,omitempty"`
	Seen       *bounds  `json:"seen,omitempty"`
}

// MarshalJSON writes layout and counts. Equal Bins give equal bytes.
func (b *Bins) MarshalJSON() ([]byte, error) {
	w := binsJSON{
		Kind: b.Kind, Edges: toNumbers(b.Edges), Values: toNumbers(b.Values), Categories: b.Categories,
		Shift: number(b.Shift), Counts: b.Counts, Nulls: b.Nulls, NonFinite: b.NonFinite,
		Below: b.Below, Above: b.Above, Sum: number(b.Sum), SumSq: number(b.SumSq),
	}
	if w.Kind == "" {
		w.Kind = Numeric
	}
	if len(w.Counts) == 0 { // Made by hand, nothing counted yet.
		w.Counts = make([]uint64, b.cells())
	}
	if b.HasRange {
		w.Range = &bounds{number(b.Low), number(b.High)}
	}
	if b.seen {
		w.Seen = &bounds{number(b.Min), number(b.Max)}
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. It returns ErrInvalid, with b
// unchanged, when that is damaged.
func (b *Bins) UnmarshalJSON(data []byte) error {
	var w binsJSON
	if err := decodeBody("bins", data, &w); err != nil {
		return err
	}
	var f errs.Faults
	switch w.Kind {
	case Numeric:
		f.Check(len(w.Edges) <= maxEdges, "%d edges, want at most %d", len(w.Edges), maxEdges)
		f.Check(ascending(w.Edges), "edges are not finite and ascending")
		f.Check(len(w.Counts) == len(w.Edges)+1, "%d counts for %d edges", len(w.Counts), len(w.Edges))
		f.Check(len(w.Values) == 0 || len(w.Values) == len(w.Edges)+1, "%d values for %d edges", len(w.Values), len(w.Edges))
		f.Check(ascending(w.Values), "values are not finite and ascending")
		f.Check(len(w.Categories) == 0, "categories of a numeric feature")
	case Categorical:
		f.Check(len(w.Categories) <= maxCategories, "%d categories, want at most %d", len(w.Categories), maxCategories)
		f.Check(len(w.Counts) == len(w.Categories)+1, "%d counts for %d categories", len(w.Counts), len(w.Categories))
		f.Check(distinctCategories(w.Categories), "categories are repeated, too long or not UTF-8")
		f.Check(len(w.Edges) == 0 && len(w.Values) == 0 && w.Range == nil && w.Seen == nil, "numbers of a categorical feature")
		f.Check(w.Shift == 0 && w.Sum == 0 && w.SumSq == 0 && w.Below == 0 && w.Above == 0, "moments of a categorical feature")
	default:
		f.Addf("kind is %q", w.Kind)
	}
	counted, ok := total(w.Counts...)
	if ok {
		_, ok = total(counted, w.Nulls, w.NonFinite)
	}
	f.Check(ok, "more than 2^53 rows")
	f.Check(w.Shift.finite(), "shift is not finite")
	f.Check(w.Range == nil || w.Range.valid(), "range is not finite and ascending")
	f.Check(w.Seen == nil || w.Seen.valid() && counted > 0, "range seen is not finite and ascending, or of no rows")
	f.Check(w.Below <= counted && w.Above <= counted-w.Below, "more numbers outside the range than numbers")
	if err := f.Err("profile: read bins"); err != nil {
		return err
	}
	n := Bins{
		Kind: w.Kind, Edges: toFloats(w.Edges), Values: toFloats(w.Values), Categories: w.Categories,
		Shift: float64(w.Shift), Counts: w.Counts, Nulls: w.Nulls, NonFinite: w.NonFinite,
		Below: w.Below, Above: w.Above, Sum: float64(w.Sum), SumSq: float64(w.SumSq),
	}
	if w.Range != nil {
		n.HasRange, n.Low, n.High = true, float64(w.Range[0]), float64(w.Range[1])
	}
	if w.Seen != nil {
		n.widen(float64(w.Seen[0]), float64(w.Seen[1]))
	}
	n.ready()
	*b = n
	return nil
}

// distinctCategories reports whether every text is one that a column can hold,
// and none is there twice.
func distinctCategories(texts []string) bool {
	seen := make(map[string]bool, len(texts))
	for _, s := range texts {
		if seen[s] || category(s) != s {
			return false
		}
		seen[s] = true
	}
	return true
}
