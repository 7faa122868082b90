package profile

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Summary describes the inputs of a model that are neither numbers nor
// categories, texts and vectors, by numbers that are made of each: those have
// bins like any other feature. Make one with [NewSummaryBuilder] and hang it on
// Reference.Summary. It does not change afterwards.
//
// A text gives "<name>.characters", "<name>.words", "<name>.non_ascii", the share
// of characters that are not ASCII, and "<name>.unseen", the share of words that
// the reference's texts did not have. A vector gives "<name>.norm",
// "<name>.distance" from the centroid of the reference, "<name>.cell", the
// nearest of 8 centres of the reference, and "<name>.p0" to "<name>.p3", its
// projections on random directions. What is missing, a vector of another length
// or with a NaN in it has nulls throughout.
type Summary struct {
	Texts   []TextInput
	Vectors []VectorInput
	// Counts holds the bins of the features above, those of texts first, counted
	// on rows of the reference. It has a number of rows of its own.
	Counts *Reference
}

// TextInput is one input of texts.
type TextInput struct {
	Name string
	// Known is a Bloom filter of the reference's words.
	Known []byte
}

// VectorInput is one input of vectors, an embedding for instance.
type VectorInput struct {
	Name string
	// Centroid is the mean of the reference, its length that of the vectors, and
	// Cells the centres, one after the other.
	Centroid, Cells []float32
}

const (
	textFeatures   = 4
	vectorFeatures = 3 + projections
	projections    = 4
	summaryCells   = 8
	knownBytes     = 16 << 10
	// longestText is how many bytes of a text are looked at.
	longestText = 64 << 10
	// longestVector bounds what a summary holds.
	longestVector = 1 << 14
)

// Features is how many numbers Describe gives.
func (s *Summary) Features() int {
	return textFeatures*len(s.Texts) + vectorFeatures*len(s.Vectors)
}

// Describe appends the numbers of one row, in the order of Counts.Features. A
// missing text is NullText, a missing vector nil; inputs that are not given at
// all are missing. It costs some 5 nanoseconds a character and 10 a component.
func (s *Summary) Describe(dst []float64, texts []string, vectors [][]float32) []float64 {
	for i := range s.Texts {
		text := NullText
		if i < len(texts) {
			text = texts[i]
		}
		dst = s.Texts[i].describe(dst, text)
	}
	for i := range s.Vectors {
		var vector []float32
		if i < len(vectors) {
			vector = vectors[i]
		}
		dst = s.Vectors[i].describe(dst, vector)
	}
	return dst
}

func (t *TextInput) describe(dst []float64, s string) []float64 {
	if s == NullText {
		return append(dst, math.NaN(), math.NaN(), math.NaN(), math.NaN())
	}
	characters, words, foreign, unseen := 0, 0, 0, 0
	eachWord(s, func(hash uint64) {
		words++
		if !known(t.Known, hash) {
			unseen++
		}
	}, func(r rune) {
		characters++
		if r >= utf8.RuneSelf {
			foreign++
		}
	})
	return append(dst, float64(characters), float64(words), share(foreign, characters), share(unseen, words))
}

// share is a part of a whole, missing where there is none.
func share(n, of int) float64 {
	if of == 0 {
		return math.NaN()
	}
	return float64(n) / float64(of)
}

// eachWord calls f with the hash of each word, a run of letters and digits in
// lower case, and character with each character.
func eachWord(s string, f func(hash uint64), character func(rune)) {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	s = s[:min(len(s), longestText)]
	hash, inside := uint64(offset), false
	for _, r := range s {
		character(r)
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			hash, inside = (hash^uint64(unicode.ToLower(r)))*prime, true
			continue
		}
		if inside {
			f(hash)
		}
		hash, inside = offset, false
	}
	if inside {
		f(hash)
	}
}

// places are the two bits of a word.
func places(bits []byte, hash uint64) (a, b uint64) {
	hash = (hash ^ hash>>29) * 0xbf58476d1ce4e5b9
	n := uint64(8 * len(bits))
	return (hash >> 32) % n, (hash & math.MaxUint32) % n
}

func known(bits []byte, hash uint64) bool {
	if len(bits) == 0 {
		return false
	}
	a, b := places(bits, hash)
	return bits[a/8]>>(a%8)&1 == 1 && bits[b/8]>>(b%8)&1 == 1
}

func (v *VectorInput) describe(dst []float64, x []float32) []float64 {
	norm, distance, p, ok := v.measure(x)
	if !ok {
		for range vectorFeatures {
			dst = append(dst, math.NaN())
		}
		return dst
	}
	return append(append(dst, norm, distance, float64(nearest(v.Cells, x))), p[:]...)
}

// measure gives the norm, the distance from the centroid and the projections of
// what is beyond it. The conversions forbid fused operations, so that all
// machines agree.
func (v *VectorInput) measure(x []float32) (norm, distance float64, p [projections]float64, ok bool) {
	if len(x) != len(v.Centroid) || len(x) == 0 {
		return 0, 0, p, false
	}
	for i, c := range v.Centroid {
		a := float64(x[i])
		d := a - float64(c)
		norm += float64(a * a)
		distance += float64(d * d)
		signs := (uint64(i) + 1) * 0x9e3779b97f4a7c15
		signs = (signs ^ signs>>30) * 0xbf58476d1ce4e5b9
		signs ^= signs >> 31
		for k := range p {
			if signs>>k&1 == 1 {
				p[k] += d
			} else {
				p[k] -= d
			}
		}
	}
	if norm-norm != 0 || distance-distance != 0 { // A NaN or an infinity.
		return 0, 0, p, false
	}
	for k := range p {
		p[k] /= math.Sqrt(float64(len(x)))
	}
	return math.Sqrt(norm), math.Sqrt(distance), p, true
}

// nearest is the place of the centre that is nearest to x.
func nearest(centres, x []float32) int {
	best, at := math.Inf(1), 0
	for k := 0; (k+1)*len(x) <= len(centres); k++ {
		d := 0.0
		for i, c := range centres[k*len(x) : (k+1)*len(x)] {
			e := float64(x[i]) - float64(c)
			d += float64(e * e)
		}
		if d < best {
			best, at = d, k
		}
	}
	return at
}

// names are those of the features, and which of them are categories.
func (s *Summary) names() (names []string, categorical []bool) {
	for _, t := range s.Texts {
		for _, what := range []string{"characters", "words", "non_ascii", "unseen"} {
			names, categorical = append(names, t.Name+"."+what), append(categorical, false)
		}
	}
	for _, v := range s.Vectors {
		for _, what := range []string{"norm", "distance", "cell"} {
			names, categorical = append(names, v.Name+"."+what), append(categorical, what == "cell")
		}
		for k := range projections {
			names, categorical = append(names, v.Name+".p"+strconv.Itoa(k)), append(categorical, false)
		}
	}
	return names, categorical
}

// summaryJSON is a summary as it is stored. Vectors are float32, little-endian.
type summaryJSON struct {
	Texts []struct {
		Name  string `json:"name"`
		Known []byte `json:"known"`
	} `json:"texts,omitempty"`
	Vectors []struct {
		Name     string `json:"name"`
		Centroid []byte `json:"centroid"`
		Cells    []byte `json:"cells"`
	} `json:"vectors,omitempty"`
	Counts *Reference `json:"counts"`
}

func (s *Summary) stored() *summaryJSON {
	if s == nil {
		return nil
	}
	w := &summaryJSON{Counts: s.Counts}
	w.Texts, w.Vectors = append(w.Texts, make([]struct {
		Name  string `json:"name"`
		Known []byte `json:"known"`
	}, len(s.Texts))...), append(w.Vectors, make([]struct {
		Name     string `json:"name"`
		Centroid []byte `json:"centroid"`
		Cells    []byte `json:"cells"`
	}, len(s.Vectors))...)
	for i, t := range s.Texts {
		w.Texts[i].Name, w.Texts[i].Known = t.Name, t.Known
	}
	for i, v := range s.Vectors {
		w.Vectors[i].Name, w.Vectors[i].Centroid, w.Vectors[i].Cells = v.Name, packed(v.Centroid), packed(v.Cells)
	}
	return w
}

// read checks what was stored; fault is "" when it is sound.
func (w *summaryJSON) read() (s *Summary, fault string) {
	if w == nil {
		return nil, ""
	}
	s = &Summary{Counts: w.Counts}
	for _, t := range w.Texts {
		if t.Name == "" || len(t.Known) == 0 || len(t.Known) > knownBytes {
			return nil, "a text of the summary has no name, or no words"
		}
		s.Texts = append(s.Texts, TextInput{t.Name, t.Known})
	}
	for _, v := range w.Vectors {
		in := VectorInput{v.Name, unpacked(v.Centroid), unpacked(v.Cells)}
		n := len(in.Centroid)
		if v.Name == "" || n == 0 || n > longestVector || len(v.Centroid)%4 != 0 || len(v.Cells)%4 != 0 || len(in.Cells)%n != 0 || len(in.Cells) > summaryCells*n {
			return nil, "a vector of the summary has no name, or no centres of its length"
		}
		s.Vectors = append(s.Vectors, in)
	}
	return s, s.Fault()
}

// Fault says why the summary cannot be used, "" when it can.
func (s *Summary) Fault() string {
	names, categorical := s.names()
	switch {
	case len(names) == 0:
		return "the summary has no inputs"
	case s.Counts == nil || s.Counts.Score != nil || s.Counts.Summary != nil || len(s.Counts.Features) != len(names):
		return "the counts of the summary are not of its features"
	}
	for i, f := range s.Counts.Features {
		if f.Name != names[i] || f.Bins == nil || (f.Bins.Kind == Categorical) != categorical[i] {
			return "the counts of the summary are not of " + strings.ToValidUTF8(names[i], "?")
		}
		if n := f.Bins.Rows(); n != s.Counts.Rows {
			return "the counts of the summary are of different rows"
		}
	}
	return ""
}

func packed(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

func unpacked(b []byte) []float32 {
	out := make([]float32, 0, len(b)/4)
	for ; len(b) >= 4; b = b[4:] {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return out
}
