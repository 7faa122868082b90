package profile

import (
	"encoding/json"

	"github.com/millwright-ml/millwright/internal/errs"
)

type featureJSON struct {
	Name string `json:"name"`
	Bins *Bins  `json:"bins"`
}

type referenceJSON struct {
	Format   int           `json:"format"`
	Dataset  string        `json:"dataset,omitempty"`
	Split    string        `json:"split,omitempty"`
	Rows     uint64        `json:"rows"`
	Features []featureJSON `json:"features"`
	Score    *Bins         `json:"score,omitempty"`
}

// MarshalJSON writes the reference, about 2 KB a numeric feature. Equal
// references give equal bytes.
func (r *Reference) MarshalJSON() ([]byte, error) {
	w := referenceJSON{
		Format: format, Dataset: r.Dataset, Split: r.Split, Rows: r.Rows,
		Features: make([]featureJSON, len(r.Features)), Score: r.Score,
	}
	for i, f := range r.Features {
		w.Features[i] = featureJSON(f)
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. It returns ErrInvalid, with r
// unchanged, when that is damaged, and ErrUnsupported when a newer version of
// the library wrote it.
func (r *Reference) UnmarshalJSON(data []byte) error {
	var w referenceJSON
	if err := decode("reference", data, &w); err != nil {
		return err
	}
	var f errs.Faults
	f.Check(w.Rows <= maxRows, "more than 2^53 rows")
	names := make(map[string]bool, len(w.Features))
	features := make([]Feature, len(w.Features))
	for i, feature := range w.Features {
		f.Check(feature.Name != "", "feature %d has no name", i)
		f.Check(!names[feature.Name], "feature %q is there twice", feature.Name)
		f.Check(feature.Bins != nil, "feature %q has no bins", feature.Name)
		names[feature.Name] = true
		features[i] = Feature(feature)
	}
	if err := f.Err("profile: read reference"); err != nil {
		return err
	}
	*r = Reference{Dataset: w.Dataset, Split: w.Split, Rows: w.Rows, Features: features, Score: w.Score}
	return nil
}
