package stream

import (
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	nameHDDMA = "hddm_a"
	nameHDDMW = "hddm_w"
)

// HDDMOptions are the settings of HDDMA and HDDMW. The zero value has the
// defaults.
type HDDMOptions struct {
	// Drift and Warning are the chances of a false answer that the bounds allow
	// (0 to 1). Default 0.001 and 0.005.
	Drift   float64 `json:"drift"`
	Warning float64 `json:"warning"`
	// Lambda is the weight of the newest value in HDDMW (0 to 1). Default 0.05.
	Lambda float64 `json:"lambda"`
	// TwoSided also reports a fall. Default false: an error rate that falls is
	// no fault.
	TwoSided bool `json:"two_sided"`
}

func (o *HDDMOptions) resolve(name string) (HDDMOptions, error) {
	var out HDDMOptions
	if o != nil {
		out = *o
	}
	out.Drift, out.Warning, out.Lambda = or(out.Drift, 0.001), or(out.Warning, 0.005), or(out.Lambda, 0.05)
	var f errs.Faults
	f.Check(out.Drift > 0 && out.Drift < 1, "Drift is %g, want a number between 0 and 1", out.Drift)
	f.Check(out.Warning >= out.Drift && out.Warning < 1, "Warning is %g, want at least Drift and less than 1", out.Warning)
	f.Check(out.Lambda > 0 && out.Lambda < 1, "Lambda is %g, want a number between 0 and 1", out.Lambda)
	return out, f.Err("stream: " + name)
}

func unit(x float64) float64 { return min(max(x, 0), 1) }

// HDDMA compares the mean up to the point where it was best with the mean of
// everything, by Hoeffding's bound for numbers from 0 to 1: the A-test of
// Frías-Blanco et al. 2015. It promises its false alarms without a law of the
// values, and prefers sudden changes.
type HDDMA struct {
	opts HDDMOptions
	s    hddmAState
}

type hddmAState struct {
	All  mean  `json:"all"`
	Low  mean  `json:"low"`
	High mean  `json:"high"`
	Last State `json:"last"`
}

// NewHDDMA returns a detector; nil are the defaults. Settings outside their
// ranges are ErrInvalid.
func NewHDDMA(options *HDDMOptions) (*HDDMA, error) {
	o, err := options.resolve("hddm-a")
	if err != nil {
		return nil, err
	}
	return &HDDMA{opts: o}, nil
}

// Reset forgets the series.
func (d *HDDMA) Reset() { d.s = hddmAState{} }

// Update takes the next value, from 0 to 1.
func (d *HDDMA) Update(x float64) State {
	if _, ok := number(x); !ok {
		return left(d.s.Last)
	}
	if d.s.Last == Drift {
		d.Reset()
	}
	s := &d.s
	s.All.add(unit(x))
	if s.Low.N == 0 {
		s.Low, s.High = s.All, s.All
	}
	if s.Low.Value+d.hoeffding(s.Low) >= s.All.Value+d.hoeffding(s.All) {
		s.Low = s.All
	}
	if s.High.Value-d.hoeffding(s.High) <= s.All.Value-d.hoeffding(s.All) {
		s.High = s.All
	}
	s.Last = judge(d.opts, func(confidence float64) (up, down bool) {
		return apart(s.All, s.Low, s.All.Value-s.Low.Value, confidence), apart(s.All, s.High, s.High.Value-s.All.Value, confidence)
	})
	return s.Last
}

func (d *HDDMA) hoeffding(m mean) float64 {
	return math.Sqrt(math.Log(1/d.opts.Drift) / float64(2*m.N))
}

// apart says whether the mean of all differs from that of a first part.
func apart(all, part mean, gap, confidence float64) bool {
	if part.N == all.N {
		return false
	}
	m := float64(all.N-part.N) / float64(part.N) / float64(all.N)
	return gap >= math.Sqrt(m/2*math.Log(2/confidence))
}

// judge turns two tests at two levels into a state.
func judge(o HDDMOptions, changed func(confidence float64) (up, down bool)) State {
	up, down := changed(o.Drift)
	if up || o.TwoSided && down {
		return Drift
	}
	up, down = changed(o.Warning)
	if up || o.TwoSided && down {
		return Warning
	}
	return Stable
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *HDDMA) MarshalJSON() ([]byte, error) { return save(nameHDDMA, d.opts, d.s) }

func (d *HDDMA) load(s hddmAState) bool {
	d.s = s
	for _, m := range []mean{s.All, s.Low, s.High} {
		if !m.sound(1) || m.Value < 0 || m.N > s.All.N || (m.N == 0) != (s.All.N == 0) {
			return false
		}
	}
	return s.Last >= Stable && s.Last <= Drift
}

// HDDMW is the W-test of the same paper: weighted moving means by McDiarmid's
// bound, which see slow changes earlier.
type HDDMW struct {
	opts HDDMOptions
	s    hddmWState
}

type hddmWState struct {
	All weighted `json:"all"`
	// Before and After the point from which the mean may have risen, and from
	// which it may have fallen; and the bound at that point.
	RiseBefore weighted `json:"rise_before"`
	RiseAfter  weighted `json:"rise_after"`
	RiseAt     float64  `json:"rise_at"`
	FallBefore weighted `json:"fall_before"`
	FallAfter  weighted `json:"fall_after"`
	FallAt     float64  `json:"fall_at"`
	Last       State    `json:"last"`
}

// weighted is an exponentially weighted mean and the sum of the squares of its
// weights.
type weighted struct {
	Some    bool    `json:"some"`
	Value   float64 `json:"mean"`
	Squares float64 `json:"squares"`
}

func (w *weighted) add(x, lambda float64) {
	if !w.Some {
		*w = weighted{true, x, 1}
	} else {
		w.Value = lambda*x + (1-lambda)*w.Value
	}
	w.Squares = lambda*lambda + (1-lambda)*(1-lambda)*w.Squares
}

// NewHDDMW returns a detector; nil are the defaults. Settings outside their
// ranges are ErrInvalid.
func NewHDDMW(options *HDDMOptions) (*HDDMW, error) {
	o, err := options.resolve("hddm-w")
	if err != nil {
		return nil, err
	}
	return &HDDMW{opts: o}, nil
}

// Reset forgets the series.
func (d *HDDMW) Reset() { d.s = hddmWState{} }

// Update takes the next value, from 0 to 1.
func (d *HDDMW) Update(x float64) State {
	if _, ok := number(x); !ok {
		return left(d.s.Last)
	}
	if d.s.Last == Drift {
		d.Reset()
	}
	x = unit(x)
	s := &d.s
	first := !s.All.Some
	s.All.add(x, d.opts.Lambda)
	eps := mcdiarmid(s.All.Squares, d.opts.Drift)
	if at := s.All.Value + eps; first || at < s.RiseAt {
		s.RiseAt, s.RiseBefore, s.RiseAfter = at, s.All, weighted{}
	} else {
		s.RiseAfter.add(x, d.opts.Lambda)
	}
	if at := s.All.Value - eps; first || at > s.FallAt {
		s.FallAt, s.FallBefore, s.FallAfter = at, s.All, weighted{}
	} else {
		s.FallAfter.add(x, d.opts.Lambda)
	}
	s.Last = judge(d.opts, func(confidence float64) (up, down bool) {
		return higher(s.RiseAfter, s.RiseBefore, confidence), higher(s.FallBefore, s.FallAfter, confidence)
	})
	return s.Last
}

func mcdiarmid(squares, confidence float64) float64 {
	return math.Sqrt(squares * math.Log(1/confidence) / 2)
}

func higher(a, b weighted, confidence float64) bool {
	return a.Some && b.Some && a.Value-b.Value > mcdiarmid(a.Squares+b.Squares, confidence)
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *HDDMW) MarshalJSON() ([]byte, error) { return save(nameHDDMW, d.opts, d.s) }

func (d *HDDMW) load(s hddmWState) bool {
	d.s = s
	for _, w := range []weighted{s.All, s.RiseBefore, s.RiseAfter, s.FallBefore, s.FallAfter} {
		if w.Some && !(w.Value >= 0 && w.Value <= 1 && w.Squares > 0 && w.Squares <= 1) || !w.Some && (w != weighted{}) {
			return false
		}
	}
	return finite(s.RiseAt, s.FallAt) && s.Last >= Stable && s.Last <= Drift
}
