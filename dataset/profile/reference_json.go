package profile

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// maxSlices bounds the slices of one reference.
const maxSlices = 1024

type featureJSON struct {
	Name string `json:"name"`
	Bins *Bins  `json:"bins"`
}

type referenceJSON struct {
	Format   int           `json:"format"`
	Dataset  string        `json:"dataset,omitempty"`
	Split    string        `json:"split,omitempty"`
	Library  string        `json:"library,omitempty"`
	Rows     uint64        `json:"rows"`
	Features []featureJSON `json:"features"`
	Score    *Bins         `json:"score,omitempty"`
	Outcomes *outcomesJSON `json:"outcomes,omitempty"`
	Chunks   *chunksJSON   `json:"chunks,omitempty"`
	Slices   []sliceJSON   `json:"slices,omitempty"`
	Summary  *summaryJSON  `json:"summary,omitempty"`
}

type outcomesJSON struct {
	Labelled  []uint64 `json:"labelled"`
	Positives []uint64 `json:"positives"`
	Scores    []number `json:"scores"`
	Sum       number   `json:"sum"`
	SumSq     number   `json:"sumSq"`
	SumAbs    number   `json:"sumAbs"`
	Numbers   bool     `json:"numbers,omitempty"`
}

type chunksJSON struct {
	Rows     uint64        `json:"rows"`
	N        uint64        `json:"n"`
	Features [][2][]number `json:"features"`
	Score    [2][]number   `json:"score"`
}

// sliceJSON holds the counts as Reference.AppendCounts writes them, since the
// layouts are those of the whole.
type sliceJSON struct {
	By     string `json:"by"`
	Value  string `json:"value"`
	Counts []byte `json:"counts"`
}

// MarshalJSON writes the reference, about 2 KB a numeric feature, and 0.1 KB
// for each slice of it. Equal references give equal bytes.
func (r *Reference) MarshalJSON() ([]byte, error) {
	w := referenceJSON{
		Format: format, Dataset: r.Dataset, Split: r.Split, Library: r.Library, Rows: r.Rows,
		Features: make([]featureJSON, len(r.Features)), Score: r.Score, Summary: r.Summary.stored(),
	}
	for i, f := range r.Features {
		w.Features[i] = featureJSON(f)
	}
	if o := r.Outcomes; o != nil {
		w.Outcomes = &outcomesJSON{o.Labelled, o.Positives, toNumbers(o.Scores), number(o.Sum), number(o.SumSq), number(o.SumAbs), o.Numbers}
	}
	if c := r.Chunks; c != nil {
		w.Chunks = &chunksJSON{Rows: c.Rows, N: c.N, Score: [2][]number{toNumbers(c.Score.Sum), toNumbers(c.Score.SumSq)}}
		for _, f := range c.Features {
			w.Chunks.Features = append(w.Chunks.Features, [2][]number{toNumbers(f.Sum), toNumbers(f.SumSq)})
		}
	}
	for _, s := range r.Slices {
		w.Slices = append(w.Slices, sliceJSON{s.By, s.Value, s.Part.AppendCounts(nil)})
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
	n := Reference{Dataset: w.Dataset, Split: w.Split, Library: w.Library, Rows: w.Rows, Features: features, Score: w.Score}
	n.Outcomes = w.Outcomes.read(&f, n.Score)
	n.Chunks = w.Chunks.read(&f, &n)
	f.Check(len(w.Slices) <= maxSlices, "%d slices, want at most %d", len(w.Slices), maxSlices)
	for _, s := range w.Slices[:min(len(w.Slices), maxSlices)] {
		part := n.Window()
		rest, err := part.SetCounts(s.Counts)
		f.Check(err == nil && len(rest) == 0, "slice %q of %q has damaged counts", s.Value, s.By)
		f.Check(s.By != "" && n.Slice(s.By, s.Value) == nil, "slice %q of %q has no name, or is there twice", s.Value, s.By)
		n.Slices = append(n.Slices, Slice{s.By, s.Value, part})
	}
	f.Check(slices.IsSortedFunc(n.Slices, compareSlices), "slices are not in order")
	summary, fault := w.Summary.read()
	f.Check(fault == "", "%s", fault)
	n.Summary = summary
	if err := f.Err("profile: read reference"); err != nil {
		return err
	}
	*r = n
	return nil
}

func (w *outcomesJSON) read(f *errs.Faults, score *Bins) *Outcomes {
	if w == nil {
		return nil
	}
	if score == nil || score.Kind == Categorical {
		f.Addf("outcomes without a score")
		return nil
	}
	n := score.cells()
	if len(w.Labelled) != n || len(w.Positives) != n || len(w.Scores) != n {
		f.Addf("outcomes have %d, %d and %d cells, want %d", len(w.Labelled), len(w.Positives), len(w.Scores), n)
		return nil
	}
	_, ok := total(w.Labelled...)
	for i, p := range w.Positives {
		ok = ok && p <= w.Labelled[i] && w.Labelled[i] <= score.Counts[i]
	}
	f.Check(ok, "more outcomes than rows")
	return &Outcomes{
		Labelled: w.Labelled, Positives: w.Positives, Scores: toFloats(w.Scores),
		Sum: float64(w.Sum), SumSq: float64(w.SumSq), SumAbs: float64(w.SumAbs), Numbers: w.Numbers,
	}
}

func (w *chunksJSON) read(f *errs.Faults, r *Reference) *Chunks {
	if w == nil {
		return nil
	}
	c := newChunks(r, 0)
	c.Rows, c.N = w.Rows, w.N
	if len(w.Features) != len(c.Features) {
		f.Addf("chunks of %d features, want %d", len(w.Features), len(c.Features))
		return nil
	}
	f.Check(w.Rows > 0 && w.Rows <= maxRows && w.N <= maxRows/w.Rows, "chunks of %d rows, %d of them", w.Rows, w.N)
	for i, s := range append(slices.Clone(w.Features), w.Score) {
		want := &c.Score
		if i < len(c.Features) {
			want = &c.Features[i]
		}
		if len(s[0]) != len(want.Sum) || len(s[1]) != len(want.Sum) {
			f.Addf("chunks of feature %d have %d and %d sums, want %d", i, len(s[0]), len(s[1]), len(want.Sum))
			return nil
		}
		*want = ChunkSums{toFloats(s[0]), toFloats(s[1])}
	}
	return c
}

func compareSlices(a, b Slice) int {
	if c := strings.Compare(a.By, b.By); c != 0 {
		return c
	}
	if a.By == HourOfWeek {
		x, _ := strconv.Atoi(a.Value)
		y, _ := strconv.Atoi(b.Value)
		if x != y {
			return x - y
		}
	}
	return strings.Compare(a.Value, b.Value)
}

func sortSlices(s []Slice) { slices.SortFunc(s, compareSlices) }
