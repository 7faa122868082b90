package profile

import "fmt"

// Feature is one input of a model.
type Feature struct {
	Name string
	Bins *Bins
}

// Reference is what a model version carries: the distribution of each input,
// in the order of the model's inputs, and of its output, over rows that the
// model was not trained on.
type Reference struct {
	// Dataset is the digest of the dataset version that was counted.
	Dataset string
	// Split says in words which part of it: "holdout 20 % by md5(key)".
	Split string
	// Library names what made the reference: "millwright 0.4". It may be empty.
	Library string
	// Rows counts the rows observed.
	Rows     uint64
	Features []Feature
	// Score is the distribution of the model's output; it may be nil.
	Score *Bins
	// Outcomes says what became of the rows in each bin of Score; nil where no
	// outcomes are known.
	Outcomes *Outcomes
	// Chunks says how much neighbouring rows resemble each other; it may be nil.
	Chunks *Chunks
	// Slices hold the same counts for parts of the rows: the hours of a week,
	// or the values of a category. They may be empty.
	Slices []Slice
	// Summary describes texts and vectors, by a sample of rows; it may be nil.
	Summary *Summary
}

// Slice is a part of a reference, counted over the same bins.
type Slice struct {
	// By is what the rows were split by: HourOfWeek, or the name of a feature.
	By string
	// Value is the part: the hour from 0, Monday midnight in UTC, to 167, or
	// the category.
	Value string
	// Part has the counts; it has no slices of its own.
	Part *Reference
}

// HourOfWeek is what Slice.By says of the hours of a week.
const HourOfWeek = "hour of week"

// NewReference returns a reference that counts into the given bins. score may
// be nil. Features and their bins belong to the reference from here on.
func NewReference(features []Feature, score *Bins) *Reference {
	return &Reference{Features: features, Score: score}
}

// Observe counts one row and the score that the model gave it. The row holds
// one number for each feature, in their order: the value, or the code of the
// category as Bins.Code returns it; NaN is a missing value. The score is
// ignored when Score is nil. It returns ErrInvalid, and counts nothing, when
// the row has another length.
func (r *Reference) Observe(row []float64, score float64) error {
	if len(row) != len(r.Features) {
		return fmt.Errorf("profile: observe: row has %d values, the reference %d features: %w", len(row), len(r.Features), ErrInvalid)
	}
	for i, f := range r.Features {
		if f.Bins != nil {
			f.Bins.AddFloat(row[i])
		}
	}
	if r.Score != nil {
		r.Score.AddFloat(score)
	}
	r.Rows++
	return nil
}

// Window returns a reference with the same features and layouts and nothing
// counted, to count live rows in and compare with r. It has no outcomes,
// chunks or slices.
func (r *Reference) Window() *Reference {
	bare := *r
	bare.Outcomes, bare.Chunks, bare.Slices, bare.Summary = nil, nil, nil, nil
	return bare.Empty()
}

// Slice returns the counts of a part of the rows, nil when there are none.
func (r *Reference) Slice(by, value string) *Reference {
	for _, s := range r.Slices {
		if s.By == by && s.Value == value {
			return s.Part
		}
	}
	return nil
}

// Empty returns a reference with the same features and layouts, outcomes,
// chunks and slices, and nothing counted: one to merge others into.
func (r *Reference) Empty() *Reference {
	e := *r
	e.Rows = 0
	e.Features = make([]Feature, len(r.Features))
	for i, f := range r.Features {
		e.Features[i].Name = f.Name
		if f.Bins != nil {
			e.Features[i].Bins = f.Bins.Empty()
		}
	}
	if r.Score != nil {
		e.Score = r.Score.Empty()
	}
	if r.Outcomes != nil {
		e.Outcomes = newOutcomes(e.Score)
	}
	if r.Chunks != nil {
		e.Chunks = r.Chunks.empty()
	}
	e.Slices = nil
	for _, s := range r.Slices {
		e.Slices = append(e.Slices, Slice{s.By, s.Value, s.Part.Empty()})
	}
	return &e
}
