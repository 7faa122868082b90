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
	// Rows counts the rows observed.
	Rows     uint64
	Features []Feature
	// Score is the distribution of the model's output; it may be nil.
	Score *Bins
}

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

// Empty returns a reference with the same features and layouts and nothing
// counted: a window to compare with r.
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
	return &e
}
