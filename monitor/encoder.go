package monitor

import (
	"math"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Encoder turns values into the slots of a row for Observe, by the features of
// one reference. Monitor.Encoder returns the same one until Reset. It notes the
// categories that the reference does not name, for the report of the window,
// and is safe for concurrent use.
type Encoder struct {
	names []string
	bins  []*profile.Bins
	codes []map[string]float64 // Nil for numbers.
	fresh []unseen
}

func newEncoder(ref *profile.Reference) *Encoder {
	n := len(ref.Features)
	e := &Encoder{names: make([]string, n), bins: make([]*profile.Bins, n), codes: make([]map[string]float64, n), fresh: make([]unseen, n)}
	for i, f := range ref.Features {
		e.names[i], e.bins[i] = f.Name, f.Bins
		if f.Bins.Kind == profile.Categorical {
			e.codes[i] = make(map[string]float64, len(f.Bins.Categories))
			for code, s := range f.Bins.Categories {
				e.codes[i][s] = float64(code)
			}
		}
	}
	return e
}

// Len returns the number of features, which is the length of a row.
func (e *Encoder) Len() int { return len(e.names) }

// Name returns the name of a feature, "" when there is none.
func (e *Encoder) Name(feature int) string {
	if feature < 0 || feature >= len(e.names) {
		return ""
	}
	return e.names[feature]
}

// Categorical reports whether the feature's slot holds a category's code.
func (e *Encoder) Categorical(feature int) bool {
	return feature >= 0 && feature < len(e.codes) && e.codes[feature] != nil
}

// Category returns the slot value of a category: its code in the reference, or
// the code that all unseen categories share. The empty string is a value like
// any other; a missing one is NaN. It returns NaN for a feature that is not
// categorical or does not exist.
func (e *Encoder) Category(feature int, s string) float64 {
	if !e.Categorical(feature) {
		return math.NaN()
	}
	if code, ok := e.codes[feature][s]; ok {
		return code
	}
	// Not known, or so long that profiles know it under a shorter name.
	code := e.bins[feature].Code(s)
	if code == len(e.codes[feature]) {
		e.fresh[feature].note(s)
	}
	return float64(code)
}

// CategoryBytes is Category for text in a byte slice, which is not kept. It
// allocates for unseen categories only.
func (e *Encoder) CategoryBytes(feature int, s []byte) float64 {
	if !e.Categorical(feature) {
		return math.NaN()
	}
	if code, ok := e.codes[feature][string(s)]; ok {
		return code
	}
	code := e.bins[feature].Code(string(s))
	if code == len(e.codes[feature]) {
		e.fresh[feature].note(string(s))
	}
	return float64(code)
}

// Encoder returns the encoder of the current reference.
func (m *Monitor) Encoder() *Encoder { return m.epoch.Load().encoder }

// EncodeString is Encoder().Category: the slot value of a category.
func (m *Monitor) EncodeString(feature int, s string) float64 {
	return m.Encoder().Category(feature, s)
}
