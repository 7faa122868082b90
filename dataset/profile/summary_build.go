package profile

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/internal/errs"
)

// What a SummaryBuilder keeps: rows that the words and centres are learned
// from, and numbers of rows that are counted.
const (
	learnedRows = 4096
	countedRows = 1 << 16
	centredRows = 1024
	centreTurns = 5
)

// SummaryBuilder makes a Summary of rows that the model was not trained on. Of
// every two rows one is learned from and the other counted: what a text has of
// words that others did not have is only seen in a text that was not learned.
// It keeps the first 4,096 of the former and the numbers of the first 65,536 of
// the latter. It is not safe for concurrent use.
type SummaryBuilder struct {
	summary Summary
	n       int
	texts   [][]string
	vectors [][][]float32
	waiting []summaryRow // To be counted once all is learned.
	rows    [][]float64
}

type summaryRow struct {
	texts   []string
	vectors [][]float32
}

// NewSummaryBuilder returns a builder for inputs of texts and of vectors of the
// given names. It returns ErrInvalid with every fault of them.
func NewSummaryBuilder(texts, vectors []string) (*SummaryBuilder, error) {
	var f errs.Faults
	f.Check(len(texts)+len(vectors) > 0, "there are no inputs")
	seen := map[string]bool{}
	for _, name := range slices.Concat(texts, vectors) {
		f.Check(name != "", "an input has no name")
		f.Check(!seen[name], "input %q is there twice", name)
		seen[name] = true
	}
	if err := f.Err("profile: summary"); err != nil {
		return nil, err
	}
	b := &SummaryBuilder{}
	for _, name := range texts {
		b.summary.Texts = append(b.summary.Texts, TextInput{Name: name})
	}
	for _, name := range vectors {
		b.summary.Vectors = append(b.summary.Vectors, VectorInput{Name: name})
	}
	return b, nil
}

// Add takes the texts and vectors of one row, NullText and nil where one is
// missing. Vectors of one input have one length. It copies what it keeps. It
// returns ErrInvalid, and takes nothing, when the row has another shape.
func (b *SummaryBuilder) Add(texts []string, vectors [][]float32) error {
	if len(texts) != len(b.summary.Texts) || len(vectors) != len(b.summary.Vectors) {
		return fmt.Errorf("profile: summary: the row has %d texts and %d vectors, the inputs are %d and %d: %w",
			len(texts), len(vectors), len(b.summary.Texts), len(b.summary.Vectors), ErrInvalid)
	}
	for i, v := range vectors {
		in := &b.summary.Vectors[i]
		if len(v) > longestVector || len(v) > 0 && len(in.Centroid) > 0 && len(v) != len(in.Centroid) {
			return fmt.Errorf("profile: summary: vector %q has %d components, want %d, and at most %d: %w", in.Name, len(v), len(in.Centroid), longestVector, ErrInvalid)
		}
	}
	row := summaryRow{texts: slices.Clone(texts)}
	for i, v := range vectors {
		row.vectors = append(row.vectors, slices.Clone(v))
		if in := &b.summary.Vectors[i]; len(in.Centroid) == 0 {
			in.Centroid = make([]float32, len(v))
		}
	}
	for i, t := range row.texts {
		if len(t) > longestText {
			row.texts[i] = string([]byte(t[:longestText])) // Not the rest of it with it.
		}
	}
	b.n++
	learn := len(b.texts) < learnedRows
	switch {
	case learn && b.n%2 == 1:
		b.texts, b.vectors = append(b.texts, row.texts), append(b.vectors, row.vectors)
		if len(b.texts) == learnedRows {
			b.learn()
		}
	case learn:
		b.waiting = append(b.waiting, row)
	case len(b.rows) < countedRows:
		b.rows = append(b.rows, b.summary.Describe(nil, row.texts, row.vectors))
	}
	return nil
}

// learn makes the words and the centres, and counts the rows that waited.
func (b *SummaryBuilder) learn() {
	for i := range b.summary.Texts {
		bits := make([]byte, knownBytes)
		for _, row := range b.texts {
			if row[i] == NullText {
				continue
			}
			eachWord(row[i], func(hash uint64) {
				for _, at := range pair(places(bits, hash)) {
					bits[at/8] |= 1 << (at % 8)
				}
			}, func(rune) {})
		}
		b.summary.Texts[i].Known = bits
	}
	for i := range b.summary.Vectors {
		var rows [][]float32
		for _, row := range b.vectors {
			if _, _, _, ok := b.summary.Vectors[i].measure(row[i]); ok {
				rows = append(rows, row[i])
			}
		}
		b.summary.Vectors[i].learn(rows)
	}
	for _, row := range b.waiting {
		b.rows = append(b.rows, b.summary.Describe(nil, row.texts, row.vectors))
	}
	b.waiting = nil
}

func pair(a, b uint64) [2]uint64 { return [2]uint64{a, b} }

// learn takes the mean, and centres by Lloyd's algorithm from rows that are far
// from each other.
func (v *VectorInput) learn(rows [][]float32) {
	if len(rows) == 0 {
		return
	}
	v.Centroid = meanOf(rows)
	rows = rows[:min(len(rows), centredRows)]
	n := len(v.Centroid)
	v.Cells = slices.Clone(v.Centroid)
	for len(v.Cells) < summaryCells*n {
		far, at := 0.0, -1
		for i, x := range rows {
			k := nearest(v.Cells, x)
			if d := squared(v.Cells[k*n:(k+1)*n], x); d > far {
				far, at = d, i
			}
		}
		if at < 0 {
			break // There are no more that differ.
		}
		v.Cells = append(v.Cells, rows[at]...)
	}
	for range centreTurns {
		of := make([][][]float32, len(v.Cells)/n)
		for _, x := range rows {
			k := nearest(v.Cells, x)
			of[k] = append(of[k], x)
		}
		for k, members := range of {
			if len(members) > 0 {
				copy(v.Cells[k*n:], meanOf(members))
			}
		}
	}
}

func meanOf(rows [][]float32) []float32 {
	sums := make([]float64, len(rows[0]))
	for _, x := range rows {
		for i, c := range x {
			sums[i] += float64(c)
		}
	}
	out := make([]float32, len(sums))
	for i, s := range sums {
		out[i] = float32(s / float64(len(rows)))
	}
	return out
}

func squared(a, b []float32) (d float64) {
	for i := range a {
		e := float64(a[i]) - float64(b[i])
		d += float64(e * e)
	}
	return d
}

// Summary returns the summary, and ends the builder. It returns ErrInvalid when
// there were fewer than two rows, or an input had no vector.
func (b *SummaryBuilder) Summary() (*Summary, error) {
	if len(b.texts) < learnedRows {
		b.learn()
	}
	var f errs.Faults
	f.Check(len(b.rows) > 0, "there were %d rows, want 2 at least", b.n)
	for _, v := range b.summary.Vectors {
		f.Check(len(v.Cells) > 0, "vector %q has no value", v.Name)
	}
	if err := f.Err("profile: summary"); err != nil {
		return nil, err
	}
	s := b.summary
	names, categorical := s.names()
	features := make([]Feature, len(names))
	for i := range names {
		var c Column
		for _, row := range b.rows {
			switch {
			case math.IsNaN(row[i]):
				c.AddNull()
			case !categorical[i]:
				c.AddFloat(row[i])
			}
		}
		features[i] = Feature{names[i], c.Bins(0)}
	}
	at := textFeatures * len(s.Texts)
	for _, v := range s.Vectors {
		cells := &Bins{Kind: Categorical}
		for k := range len(v.Cells) / len(v.Centroid) {
			cells.Categories = append(cells.Categories, strconv.Itoa(k))
		}
		features[at+2].Bins = cells.Empty()
		at += vectorFeatures
	}
	s.Counts = NewReference(features, nil)
	for _, row := range b.rows {
		if err := s.Counts.Observe(row, 0); err != nil {
			return nil, err
		}
	}
	return &s, nil
}
