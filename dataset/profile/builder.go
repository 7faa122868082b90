package profile

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Input is a feature that a Builder makes bins for.
type Input struct {
	Name string
	// Kind says how its values are read.
	Kind Kind
}

// NullText is the text of a Record that stands for a missing value.
const NullText = "\x00"

// BuilderOptions configures a Builder. Nil means all defaults.
type BuilderOptions struct {
	// Table is the profile of the dataset version that the rows are from: the
	// bins are laid out by its columns of the inputs' names. Default none: by
	// the first LayoutRows rows, and the range by all.
	Table *Table
	// LayoutRows is how many rows are kept until the bins are laid out.
	// Default 65,536.
	LayoutRows int
	// Bins is the number of bins of an input. Default DefaultBins.
	Bins int
	// Score says that records have scores. Default false.
	Score bool
	// ChunkRows is the length of the chunks that tell how much neighbouring
	// rows resemble each other, for which they must come in the order of time.
	// Default 500; -1 is off.
	ChunkRows int
	// Hours keeps the counts of each hour of the week by themselves, for
	// traffic with a daily or weekly rhythm. Default false.
	Hours bool
	// SliceBy names categorical inputs of which the counts of the most
	// frequent 16 values are kept by themselves. Default none.
	SliceBy []string
	// Dataset, Split and Library go to the reference.
	Dataset, Split, Library string
}

// Record is one row for a Builder.
type Record struct {
	// Numbers holds the values of the numeric inputs in their order, NaN where
	// one is missing; Texts those of the categorical inputs, NullText where one
	// is missing.
	Numbers []float64
	Texts   []string
	// Score is the model's output, Outcome what came of it; NaN is none.
	Score, Outcome float64
	// At is the time of the row; it is only looked at for Hours.
	At time.Time
}

// sliceValues is how many values of an input get a slice.
const sliceValues = 16

// Builder makes a Reference of rows that the model was not trained on, in one
// pass and with bounded memory. It is not safe for concurrent use; builders of
// parts of the rows may run side by side when they share a Table, and their
// references merge exactly.
type Builder struct {
	opts   BuilderOptions
	inputs []Input
	limit  int // Rows of a full buffer.

	ref   *Reference // Nil until the bins are laid out.
	chunk *Reference
	by    []slicing

	n        int
	numbers  [][]float64 // By input; nil for categories.
	texts    [][]string  // By input; nil for numbers.
	scores   []float64
	outcomes []float64
	hours    []uint8
	codes    [][]float64
	scratch  []float64
}

// slicing is one way in which rows are split.
type slicing struct {
	by    string
	input int // -1 for hours.
	parts []*Reference
}

// NewBuilder returns a builder for the inputs, in the order in which the model
// takes them. It returns ErrInvalid with every fault of them and of opts.
func NewBuilder(inputs []Input, opts *BuilderOptions) (*Builder, error) {
	b := &Builder{inputs: slices.Clone(inputs)}
	if opts != nil {
		b.opts = *opts
	}
	o := &b.opts
	var f errs.Faults
	f.Check(len(inputs) > 0, "there are no inputs")
	f.Check(o.LayoutRows >= 0, "LayoutRows is %d, want 0 or more", o.LayoutRows)
	f.Check(o.Bins >= 0, "Bins is %d, want 0 or more", o.Bins)
	f.Check(o.ChunkRows >= -1, "ChunkRows is %d, want 0 or more, or -1 for off", o.ChunkRows)
	kinds := map[string]Kind{}
	for i, in := range inputs {
		f.Check(in.Name != "", "input %d has no name", i)
		f.Check(kinds[in.Name] == "", "input %q is there twice", in.Name)
		f.Check(in.Kind == Numeric || in.Kind == Categorical, "input %q is of kind %q", in.Name, in.Kind)
		kinds[in.Name] = in.Kind
		if o.Table == nil {
			continue
		}
		switch c := o.Table.Column(in.Name); {
		case c == nil:
			f.Addf("input %q is no column of the table", in.Name)
		case c.Kind() != "" && c.Kind() != in.Kind:
			f.Addf("input %q is %s, its column %s", in.Name, in.Kind, c.Kind())
		}
	}
	for _, name := range o.SliceBy {
		f.Check(kinds[name] == Categorical, "SliceBy names %q, which is no categorical input", name)
	}
	if err := f.Err("profile: builder"); err != nil {
		return nil, err
	}
	if o.LayoutRows == 0 {
		o.LayoutRows = 1 << 16
	}
	if o.ChunkRows == 0 {
		o.ChunkRows = 500
	}
	b.limit = max(o.LayoutRows, bulkNumbers)
	b.numbers, b.texts, b.codes = make([][]float64, len(inputs)), make([][]string, len(inputs)), make([][]float64, len(inputs))
	if o.Table != nil {
		columns := make([]*Column, len(inputs))
		for i, in := range inputs {
			columns[i] = o.Table.Column(in.Name)
		}
		b.limit = bulkNumbers
		// The score is no column of a dataset; its bins wait for rows.
		if !o.Score {
			b.layOut(columns, nil)
		} else {
			b.limit = max(o.LayoutRows, bulkNumbers)
		}
	}
	return b, nil
}

// Add counts one row. It returns ErrInvalid, and counts nothing, when the
// record has not a value for each input.
func (b *Builder) Add(r *Record) error {
	number, text := 0, 0
	for _, in := range b.inputs {
		if in.Kind == Categorical {
			text++
		} else {
			number++
		}
	}
	if len(r.Numbers) != number || len(r.Texts) != text {
		return fmt.Errorf("profile: build: the record has %d numbers and %d texts, the inputs are %d and %d: %w",
			len(r.Numbers), len(r.Texts), number, text, ErrInvalid)
	}
	number, text = 0, 0
	for i, in := range b.inputs {
		if in.Kind == Categorical {
			b.texts[i] = append(b.texts[i], r.Texts[text])
			text++
		} else {
			b.numbers[i] = append(b.numbers[i], r.Numbers[number])
			number++
		}
	}
	b.scores, b.outcomes = append(b.scores, r.Score), append(b.outcomes, r.Outcome)
	if b.opts.Hours {
		b.hours = append(b.hours, uint8(HourOf(r.At)))
	}
	if b.n++; b.n >= b.limit {
		b.flush()
	}
	return nil
}

// HourOf returns the hour of the week, 0 to 167 from Monday midnight in UTC.
func HourOf(t time.Time) int {
	t = t.UTC()
	return (int(t.Weekday())+6)%7*24 + t.Hour()
}

// Reference returns what was counted, and ends the builder. It returns
// ErrInvalid when there was no row.
func (b *Builder) Reference() (*Reference, error) {
	b.flush()
	if b.ref == nil || b.ref.Rows == 0 {
		return nil, fmt.Errorf("profile: build: there was no row: %w", ErrInvalid)
	}
	r := b.ref
	for _, s := range b.by {
		for value, part := range s.parts {
			if part == nil || part.Rows == 0 {
				continue
			}
			name := strconv.Itoa(value)
			if s.input >= 0 {
				name = r.Features[s.input].Bins.Categories[value]
			}
			r.Slices = append(r.Slices, Slice{s.by, name, part})
		}
	}
	sortSlices(r.Slices)
	if b.opts.Table == nil {
		b.fixRanges()
	} else if r.Score != nil {
		b.fixRange(func(r *Reference) *Bins { return r.Score })
	}
	r.Dataset, r.Split, r.Library = b.opts.Dataset, b.opts.Split, b.opts.Library
	b.ref = nil
	return r, nil
}

// fixRanges makes the range of all rows that of the layout, which was laid out
// by the first ones.
func (b *Builder) fixRanges() {
	for i, in := range b.inputs {
		if in.Kind == Numeric {
			b.fixRange(func(r *Reference) *Bins { return r.Features[i].Bins })
		}
	}
	if b.ref.Score != nil {
		b.fixRange(func(r *Reference) *Bins { return r.Score })
	}
}

func (b *Builder) fixRange(of func(*Reference) *Bins) {
	whole := of(b.ref)
	if !whole.seen {
		return
	}
	parts := []*Bins{whole}
	for _, s := range b.ref.Slices {
		parts = append(parts, of(s.Part))
	}
	low, high := whole.Min, whole.Max
	for _, p := range parts {
		p.HasRange, p.Low, p.High = true, low, high
		p.Below, p.Above = 0, 0
		p.look = newLookup(p)
	}
}
