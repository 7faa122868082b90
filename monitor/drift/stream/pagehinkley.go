package stream

import (
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	namePageHinkley = "page_hinkley"
	nameCUSUM       = "cusum"
)

// Direction is which changes of the mean count.
type Direction int

const (
	// Both counts rises and falls.
	Both Direction = iota
	// Up counts rises.
	Up
	// Down counts falls.
	Down
)

// PageHinkleyOptions are the settings of PageHinkley and CUSUM. The zero value
// has the defaults.
type PageHinkleyOptions struct {
	// Delta is the change of the mean that is tolerated, in units of the
	// values. Default 0.005; a negative number is none.
	Delta float64 `json:"delta"`
	// Threshold is the sum of deviations beyond Delta that is a drift, in units
	// of the values (lambda). Default 50.
	Threshold float64 `json:"threshold"`
	// Forget is what remains of the sum after each value (alpha, 0 to 1).
	// Default 0.9999.
	Forget float64 `json:"forget"`
	// MinValues is the number of values from which a change is reported.
	// Default 30.
	MinValues int `json:"min_values"`
	// Direction is which changes count. Default Both.
	Direction Direction `json:"direction"`
}

func (o *PageHinkleyOptions) resolve(name string) (PageHinkleyOptions, error) {
	var out PageHinkleyOptions
	if o != nil {
		out = *o
	}
	out.Delta, out.Threshold = or(out.Delta, 0.005), or(out.Threshold, 50)
	out.Forget, out.MinValues = or(out.Forget, 0.9999), or(out.MinValues, 30)
	var f errs.Faults
	f.Check(finite(out.Delta), "Delta is %g, want a number", out.Delta)
	f.Check(out.Threshold > 0 && finite(out.Threshold), "Threshold is %g, want a number above 0", out.Threshold)
	f.Check(out.Forget > 0 && out.Forget <= 1, "Forget is %g, want more than 0 and at most 1", out.Forget)
	f.Check(out.MinValues > 0, "MinValues is %d, want 1 or more", out.MinValues)
	f.Check(out.Direction >= Both && out.Direction <= Down, "Direction is %d, want Both, Up or Down", out.Direction)
	return out, f.Err("stream: " + name)
}

func (o PageHinkleyOptions) delta() float64 { return max(o.Delta, 0) }

// PageHinkley is the test of Page 1954 and Hinkley 1971 for a change of the
// mean, with the fading sum of River: the sum of the deviations from the
// running mean, less Delta each, has moved by more than Threshold from its
// extreme.
type PageHinkley struct {
	opts PageHinkleyOptions
	s    pageHinkleyState
}

type pageHinkleyState struct {
	Mean    mean    `json:"mean"`
	Rise    float64 `json:"rise"`
	Fall    float64 `json:"fall"`
	MinRise float64 `json:"min_rise"`
	MaxFall float64 `json:"max_fall"`
	Last    State   `json:"last"`
}

// NewPageHinkley returns a detector; nil are the defaults. Settings outside
// their ranges are ErrInvalid.
func NewPageHinkley(options *PageHinkleyOptions) (*PageHinkley, error) {
	o, err := options.resolve("page-hinkley")
	if err != nil {
		return nil, err
	}
	return &PageHinkley{opts: o}, nil
}

// Reset forgets the series.
func (d *PageHinkley) Reset() { d.s = pageHinkleyState{} }

// Update takes the next value.
func (d *PageHinkley) Update(x float64) State {
	x, ok := number(x)
	if !ok {
		return left(d.s.Last)
	}
	if d.s.Last == Drift {
		d.Reset()
	}
	s := &d.s
	s.Mean.add(x)
	gap := x - s.Mean.Value
	s.Rise = d.opts.Forget*s.Rise + gap - d.opts.delta()
	s.Fall = d.opts.Forget*s.Fall + gap + d.opts.delta()
	if s.Mean.N == 1 {
		s.MinRise, s.MaxFall = s.Rise, s.Fall
	}
	s.MinRise, s.MaxFall = min(s.MinRise, s.Rise), max(s.MaxFall, s.Fall)
	if s.Mean.N >= int64(d.opts.MinValues) {
		up, down := s.Rise-s.MinRise > d.opts.Threshold, s.MaxFall-s.Fall > d.opts.Threshold
		if up && d.opts.Direction != Down || down && d.opts.Direction != Up {
			s.Last = Drift
		}
	}
	return s.Last
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *PageHinkley) MarshalJSON() ([]byte, error) { return save(namePageHinkley, d.opts, d.s) }

func (d *PageHinkley) load(s pageHinkleyState) bool {
	d.s = s
	return s.Mean.sound(largest) && finite(s.Rise, s.Fall, s.MinRise, s.MaxFall) && s.Last >= Stable && s.Last <= Drift
}

// CUSUM is the cumulative sum of Page 1954 that starts again at 0 instead of
// falling below: a drift is when it reaches Threshold. It is PageHinkley when
// nothing fades; when it does, it finds a slow change a little later.
type CUSUM struct {
	opts PageHinkleyOptions
	s    cusumState
}

type cusumState struct {
	Mean mean    `json:"mean"`
	Rise float64 `json:"rise"`
	Fall float64 `json:"fall"`
	Last State   `json:"last"`
}

// NewCUSUM returns a detector; nil are the defaults. Settings outside their
// ranges are ErrInvalid.
func NewCUSUM(options *PageHinkleyOptions) (*CUSUM, error) {
	o, err := options.resolve("cusum")
	if err != nil {
		return nil, err
	}
	return &CUSUM{opts: o}, nil
}

// Reset forgets the series.
func (d *CUSUM) Reset() { d.s = cusumState{} }

// Update takes the next value.
func (d *CUSUM) Update(x float64) State {
	x, ok := number(x)
	if !ok {
		return left(d.s.Last)
	}
	if d.s.Last == Drift {
		d.Reset()
	}
	s := &d.s
	s.Mean.add(x)
	gap := x - s.Mean.Value
	s.Rise = max(0, d.opts.Forget*s.Rise+gap-d.opts.delta())
	s.Fall = max(0, d.opts.Forget*s.Fall-gap-d.opts.delta())
	if s.Mean.N >= int64(d.opts.MinValues) {
		up, down := s.Rise >= d.opts.Threshold, s.Fall >= d.opts.Threshold
		if up && d.opts.Direction != Down || down && d.opts.Direction != Up {
			s.Last = Drift
		}
	}
	return s.Last
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *CUSUM) MarshalJSON() ([]byte, error) { return save(nameCUSUM, d.opts, d.s) }

func (d *CUSUM) load(s cusumState) bool {
	d.s = s
	return s.Mean.sound(largest) && finite(s.Rise, s.Fall) && s.Rise >= 0 && s.Fall >= 0 && s.Last >= Stable && s.Last <= Drift
}
