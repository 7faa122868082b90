package stream

import (
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	nameDDM  = "ddm"
	nameEDDM = "eddm"
)

// DDMOptions are the settings of DDM. The zero value has the defaults.
type DDMOptions struct {
	// WarmStart is the number of values up to which nothing is reported.
	// Default 30.
	WarmStart int `json:"warm_start"`
	// Warning and Drift are how many standard deviations the error rate is
	// above its best one. Default 2 and 3.
	Warning float64 `json:"warning"`
	Drift   float64 `json:"drift"`
}

// DDM is the drift detection method of Gama et al. 2004: a model whose error
// rate does not fall any more but rises, by the standard deviations of a
// binomial law, from the lowest it had. It reacts to sudden changes; with a
// long past it is slow.
type DDM struct {
	opts DDMOptions
	s    ddmState
}

type ddmState struct {
	Rate mean `json:"rate"`
	// Least is the lowest rate plus deviation, and what it is made of.
	Least     float64 `json:"least"`
	Deviation float64 `json:"deviation"`
	Seen      bool    `json:"seen"`
	Last      State   `json:"last"`
}

// NewDDM returns a detector; nil are the defaults. Settings outside their
// ranges are ErrInvalid.
func NewDDM(options *DDMOptions) (*DDM, error) {
	var o DDMOptions
	if options != nil {
		o = *options
	}
	o.WarmStart, o.Warning, o.Drift = or(o.WarmStart, 30), or(o.Warning, 2), or(o.Drift, 3)
	var f errs.Faults
	f.Check(o.WarmStart > 0, "WarmStart is %d, want 1 or more", o.WarmStart)
	f.Check(o.Warning > 0 && finite(o.Warning), "Warning is %g, want a number above 0", o.Warning)
	f.Check(o.Drift >= o.Warning && finite(o.Drift), "Drift is %g, want a number from Warning up", o.Drift)
	if err := f.Err("stream: ddm"); err != nil {
		return nil, err
	}
	return &DDM{opts: o}, nil
}

// Reset forgets the series.
func (d *DDM) Reset() { d.s = ddmState{} }

// Update takes the next value: 0 for a correct prediction, else an error.
func (d *DDM) Update(x float64) State {
	if _, ok := number(x); !ok {
		return left(d.s.Last)
	}
	if d.s.Last == Drift {
		d.Reset()
	}
	s := &d.s
	s.Rate.add(bit(x))
	if s.Rate.N <= int64(d.opts.WarmStart) {
		return s.Last
	}
	p := s.Rate.Value
	deviation := math.Sqrt(max(p*(1-p), 0) / float64(s.Rate.N))
	if !s.Seen || p+deviation <= s.Least+s.Deviation {
		s.Seen, s.Least, s.Deviation = true, p, deviation
	}
	switch level := p + deviation; {
	case level > s.Least+d.opts.Drift*s.Deviation:
		s.Last = Drift
	case level > s.Least+d.opts.Warning*s.Deviation:
		s.Last = Warning
	default:
		s.Last = Stable
	}
	return s.Last
}

func bit(x float64) float64 {
	if x != 0 {
		return 1
	}
	return 0
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *DDM) MarshalJSON() ([]byte, error) { return save(nameDDM, d.opts, d.s) }

func (d *DDM) load(s ddmState) bool {
	d.s = s
	return s.Rate.sound(1) && s.Rate.Value >= 0 && s.Least >= 0 && s.Least <= 1 && s.Deviation >= 0 && s.Deviation <= 1 && s.Last >= Stable && s.Last <= Drift
}

// EDDMOptions are the settings of EDDM. The zero value has the defaults.
type EDDMOptions struct {
	// WarmStart is the number of errors up to which nothing is reported.
	// Default 30.
	WarmStart int `json:"warm_start"`
	// Warning and Drift are the shares of the largest distance between errors
	// below which the distance is too small (0 to 1). Default 0.95 and 0.9.
	Warning float64 `json:"warning"`
	Drift   float64 `json:"drift"`
}

// EDDM is the early drift detection method of Baena-García et al. 2006: the
// distance between two errors shrinks, by its mean plus two standard
// deviations, from the largest it had. It sees slow changes earlier than DDM,
// and its defaults alarm often on a stable series.
type EDDM struct {
	opts EDDMOptions
	s    eddmState
}

type eddmState struct {
	N         int64   `json:"n"`
	LastError int64   `json:"last_error"`
	Gaps      mean    `json:"gaps"`
	Squares   float64 `json:"squares"`
	Largest   float64 `json:"largest"`
	Last      State   `json:"last"`
}

// NewEDDM returns a detector; nil are the defaults. Settings outside their
// ranges are ErrInvalid.
func NewEDDM(options *EDDMOptions) (*EDDM, error) {
	var o EDDMOptions
	if options != nil {
		o = *options
	}
	o.WarmStart, o.Warning, o.Drift = or(o.WarmStart, 30), or(o.Warning, 0.95), or(o.Drift, 0.9)
	var f errs.Faults
	f.Check(o.WarmStart > 0, "WarmStart is %d, want 1 or more", o.WarmStart)
	f.Check(o.Warning > 0 && o.Warning <= 1, "Warning is %g, want more than 0 and at most 1", o.Warning)
	f.Check(o.Drift > 0 && o.Drift <= o.Warning, "Drift is %g, want more than 0 and at most Warning", o.Drift)
	if err := f.Err("stream: eddm"); err != nil {
		return nil, err
	}
	return &EDDM{opts: o}, nil
}

// Reset forgets the series.
func (d *EDDM) Reset() { d.s = eddmState{} }

// Update takes the next value: 0 for a correct prediction, else an error.
func (d *EDDM) Update(x float64) State {
	if _, ok := number(x); !ok {
		return left(d.s.Last)
	}
	if d.s.Last == Drift {
		d.Reset()
	}
	s := &d.s
	s.N++
	if x == 0 {
		return s.Last
	}
	gap := float64(s.N - s.LastError)
	s.LastError = s.N
	before := s.Gaps.Value
	s.Gaps.add(gap)
	s.Squares += (gap - before) * (gap - s.Gaps.Value)
	warm := int64(d.opts.WarmStart)
	if s.N <= warm {
		return s.Last
	}
	level := s.Gaps.Value
	if s.Gaps.N > 1 {
		level += 2 * math.Sqrt(max(s.Squares, 0)/float64(s.Gaps.N-1))
	}
	switch {
	case level > s.Largest:
		s.Largest = level
	case s.Gaps.N <= warm:
	case level < d.opts.Drift*s.Largest:
		s.Last = Drift
	case level < d.opts.Warning*s.Largest:
		s.Last = Warning
	default:
		s.Last = Stable
	}
	return s.Last
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *EDDM) MarshalJSON() ([]byte, error) { return save(nameEDDM, d.opts, d.s) }

func (d *EDDM) load(s eddmState) bool {
	d.s = s
	return s.N >= 0 && s.LastError >= 0 && s.LastError <= s.N && s.N <= math.MaxInt64/2 && s.Gaps.N <= s.N &&
		s.Gaps.sound(float64(s.N)) && finite(s.Squares, s.Largest) && s.Largest >= 0 && s.Last >= Stable && s.Last <= Drift
}
