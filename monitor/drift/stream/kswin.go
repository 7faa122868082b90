package stream

import (
	"math/rand/v2"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
)

const nameKSWIN = "kswin"

// KSWINOptions are the settings of KSWIN. The zero value has the defaults.
type KSWINOptions struct {
	// Alpha is the p-value at or below which a test finds a change (0 to 1).
	// There is a test at every value once the window is full, so false alarms
	// are many times this. Default 0.005.
	Alpha float64 `json:"alpha"`
	// Window is the number of values that are kept (2 to 100,000). Default 100.
	Window int `json:"window"`
	// Recent is the number of newest ones that are compared with as many of the
	// others (1 to 100, at most half of Window). Default 30.
	Recent int `json:"recent"`
	// Seed is that of the random choice of the others. Default 0, which is a
	// seed like any other.
	Seed uint64 `json:"seed"`
}

// KSWIN compares the newest values of a sliding window with a random choice of
// the older ones by the Kolmogorov-Smirnov test (Raab, Heusinger and Schleif
// 2020): it sees changes of the whole distribution. A distance up to 0.1 is no
// change, as in River. After a change the newest values stay in the window, as
// in the paper; River's detector forgets them. Its p-value takes ties into
// account, River's does not and is too silent on them.
type KSWIN struct {
	opts   KSWINOptions
	s      kswinState
	random *rand.PCG

	// Memory of the test.
	pick       []int
	chosen     []float64
	recent     []float64
	old, young []uint64
}

type kswinState struct {
	// Values is a ring; the oldest one is at Next once it is full.
	Values []float64 `json:"values"`
	Next   int       `json:"next"`
	Random []byte    `json:"random"`
	Last   State     `json:"last"`
}

// minGap is the distance that is no change however certain it is.
const minGap = 0.1

// NewKSWIN returns a detector; nil are the defaults. Settings outside their
// ranges are ErrInvalid.
func NewKSWIN(options *KSWINOptions) (*KSWIN, error) {
	var o KSWINOptions
	if options != nil {
		o = *options
	}
	o.Alpha, o.Window, o.Recent = or(o.Alpha, 0.005), or(o.Window, 100), or(o.Recent, 30)
	var f errs.Faults
	f.Check(o.Alpha > 0 && o.Alpha < 1, "Alpha is %g, want a number between 0 and 1", o.Alpha)
	f.Check(o.Window >= 2 && o.Window <= 100_000, "Window is %d, want 2 to 100000", o.Window)
	f.Check(o.Recent >= 1 && o.Recent <= 100 && o.Recent <= o.Window/2, "Recent is %d, want 1 to 100 and at most half of Window", o.Recent)
	if err := f.Err("stream: kswin"); err != nil {
		return nil, err
	}
	d := &KSWIN{
		opts: o, pick: make([]int, o.Window-o.Recent),
		chosen: make([]float64, o.Recent), recent: make([]float64, o.Recent),
		old: make([]uint64, 2*o.Recent), young: make([]uint64, 2*o.Recent),
	}
	d.s.Values = make([]float64, 0, o.Window)
	d.Reset()
	return d, nil
}

// Reset forgets the series, and starts the random choice anew.
func (d *KSWIN) Reset() {
	d.s = kswinState{Values: d.s.Values[:0]}
	d.random = rand.NewPCG(d.opts.Seed, 0)
}

// Update takes the next value.
func (d *KSWIN) Update(x float64) State {
	x, ok := number(x)
	if !ok {
		return left(d.s.Last)
	}
	s := &d.s
	s.Last = Stable
	if len(s.Values) < d.opts.Window {
		s.Values = append(s.Values, x)
	} else {
		s.Values[s.Next] = x
		s.Next = (s.Next + 1) % d.opts.Window
	}
	if len(s.Values) < d.opts.Window || !d.changed() {
		return s.Last
	}
	// The newest values are those after the change; the ring starts with them.
	for i := range d.recent {
		d.recent[i] = d.at(d.opts.Window - d.opts.Recent + i)
	}
	s.Values, s.Next = append(s.Values[:0], d.recent...), 0
	s.Last = Drift
	return s.Last
}

// at returns the i-th oldest value of a full window.
func (d *KSWIN) at(i int) float64 { return d.s.Values[(d.s.Next+i)%d.opts.Window] }

func (d *KSWIN) changed() bool {
	older := d.opts.Window - d.opts.Recent
	// The first places of a shuffle are a choice without repetition.
	for i := range d.pick {
		d.pick[i] = i
	}
	for i := range d.chosen {
		j := i + int(d.random.Uint64()%uint64(older-i)) // Uneven by less than 1e-14.
		d.pick[i], d.pick[j] = d.pick[j], d.pick[i]
		d.chosen[i], d.recent[i] = d.at(d.pick[i]), d.at(older+i)
	}
	slices.Sort(d.chosen)
	slices.Sort(d.recent)
	bins := 0
	for i, j := 0, 0; i < len(d.chosen) || j < len(d.recent); bins++ {
		var v float64
		if j == len(d.recent) || i < len(d.chosen) && d.chosen[i] <= d.recent[j] {
			v = d.chosen[i]
		} else {
			v = d.recent[j]
		}
		d.old[bins], d.young[bins] = 0, 0
		for ; i < len(d.chosen) && d.chosen[i] == v; i++ {
			d.old[bins]++
		}
		for ; j < len(d.recent) && d.recent[j] == v; j++ {
			d.young[bins]++
		}
	}
	r, err := drift.KolmogorovSmirnov(d.old[:bins], d.young[:bins])
	return err == nil && r.Score > minGap && r.PValue <= d.opts.Alpha
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *KSWIN) MarshalJSON() ([]byte, error) {
	s := d.s
	var err error
	if s.Random, err = d.random.MarshalBinary(); err != nil {
		return nil, err
	}
	return save(nameKSWIN, d.opts, s)
}

func (d *KSWIN) load(s kswinState) bool {
	if len(s.Values) > d.opts.Window || s.Next < 0 || s.Next >= d.opts.Window || len(s.Values) < d.opts.Window && s.Next != 0 ||
		!finite(s.Values...) || s.Last < Stable || s.Last > Drift || d.random.UnmarshalBinary(s.Random) != nil {
		return false
	}
	s.Values, s.Random = append(d.s.Values[:0], s.Values...), nil
	d.s = s
	return true
}
