package stream

import (
	"math"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
)

const nameADWIN = "adwin"

// ADWINOptions are the settings of ADWIN. The zero value has the defaults.
type ADWINOptions struct {
	// Delta is the confidence: about the chance of a false alarm at a check
	// (0 to 1). Default 0.002.
	Delta float64 `json:"delta"`
	// Clock is how many values pass from check to check. Default 32.
	Clock int `json:"clock"`
	// Buckets is how many buckets of a size there are before the oldest two of
	// them become one of twice the size (2 to 1000). Default 5.
	Buckets int `json:"buckets"`
	// MinWindow is the fewest values that either part may have. Default 5.
	MinWindow int `json:"min_window"`
	// Grace is the number of values up to which nothing is checked. Default 10.
	Grace int `json:"grace"`
	// Keep leaves the values after the change in the window, as the paper does,
	// instead of starting anew with an empty one, as River does. Default false.
	Keep bool `json:"keep"`
}

// ADWIN keeps a window of the values since the last change: it is cut where the
// means of an older and a younger part differ by more than a bound for chance
// (Bifet and Gavaldà 2007, ADWIN2, with the normal bound of section 3.3). The
// window is an exponential histogram (Datar et al. 2002; variances by Babcock
// et al. 2003), so memory and time grow with its logarithm.
type ADWIN struct {
	opts ADWINOptions
	s    adwinState
}

type adwinState struct {
	// Rows[i] are the buckets of 2^i values, oldest first.
	Rows  [][]bucket `json:"rows"`
	Width int64      `json:"width"`
	Total float64    `json:"total"`
	// Squares is the sum of the squared distances from the mean.
	Squares float64 `json:"squares"`
	Tick    int     `json:"tick"`
	Last    State   `json:"last"`
}

// bucket is a run of values: their sum, and of their squared distances.
type bucket struct {
	Total   float64 `json:"t"`
	Squares float64 `json:"s"`
}

// maxRows allows for more values than a program can see.
const maxRows = 56

// NewADWIN returns a detector; nil are the defaults. Settings outside their
// ranges are ErrInvalid.
func NewADWIN(options *ADWINOptions) (*ADWIN, error) {
	var o ADWINOptions
	if options != nil {
		o = *options
	}
	o.Delta, o.Clock, o.Buckets = or(o.Delta, 0.002), or(o.Clock, 32), or(o.Buckets, 5)
	o.MinWindow, o.Grace = or(o.MinWindow, 5), or(o.Grace, 10)
	var f errs.Faults
	f.Check(o.Delta > 0 && o.Delta < 1, "Delta is %g, want a number between 0 and 1", o.Delta)
	f.Check(o.Clock > 0, "Clock is %d, want 1 or more", o.Clock)
	f.Check(o.Buckets >= 2 && o.Buckets <= 1000, "Buckets is %d, want 2 to 1000", o.Buckets)
	f.Check(o.MinWindow > 0, "MinWindow is %d, want 1 or more", o.MinWindow)
	f.Check(o.Grace > 0, "Grace is %d, want 1 or more", o.Grace)
	if err := f.Err("stream: adwin"); err != nil {
		return nil, err
	}
	return &ADWIN{opts: o}, nil
}

// Reset forgets the series.
func (d *ADWIN) Reset() {
	for i := range d.s.Rows {
		d.s.Rows[i] = d.s.Rows[i][:0]
	}
	d.s = adwinState{Rows: d.s.Rows[:0]}
}

// Mean is the mean of the values since the last change, 0 without any.
func (d *ADWIN) Mean() float64 {
	if d.s.Width == 0 {
		return 0
	}
	return d.s.Total / float64(d.s.Width)
}

// Width is the number of values since the last change.
func (d *ADWIN) Width() int { return int(d.s.Width) }

// Update takes the next value. The answer is Drift at the check that finds the
// change.
func (d *ADWIN) Update(x float64) State {
	x, ok := number(x)
	if !ok {
		return left(d.s.Last)
	}
	if d.s.Last == Drift && !d.opts.Keep {
		d.Reset()
	}
	d.insert(x)
	d.s.Last = Stable
	// Counted up to the clock only, so that it cannot overflow.
	if d.s.Tick++; d.s.Tick >= d.opts.Clock {
		d.s.Tick = 0
		if d.s.Width > int64(d.opts.Grace) {
			for d.cut() {
				d.s.Last = Drift
			}
		}
	}
	return d.s.Last
}

func (d *ADWIN) insert(x float64) {
	s := &d.s
	if s.Width > 0 {
		gap := x - s.Total/float64(s.Width)
		s.Squares += gap * gap * float64(s.Width) / float64(s.Width+1)
	}
	s.Width++
	s.Total += x
	d.grow(0, bucket{Total: x})
	for i := 0; len(s.Rows[i]) > d.opts.Buckets && i < maxRows-1; i++ {
		a, b := s.Rows[i][0], s.Rows[i][1]
		n := math.Ldexp(1, i)
		gap := (a.Total - b.Total) / n
		d.grow(i+1, bucket{a.Total + b.Total, a.Squares + b.Squares + gap*gap*n/2})
		s.Rows[i] = append(s.Rows[i][:0], s.Rows[i][2:]...)
	}
}

// grow adds a bucket to a row, which it makes from memory of before.
func (d *ADWIN) grow(row int, b bucket) {
	if row == len(d.s.Rows) {
		if row < cap(d.s.Rows) {
			d.s.Rows = d.s.Rows[:row+1]
		} else {
			d.s.Rows = append(d.s.Rows, make([]bucket, 0, d.opts.Buckets+1))
		}
	}
	d.s.Rows[row] = append(d.s.Rows[row], b)
}

// cut looks for a place between two buckets where the means differ, and drops
// the oldest bucket when there is one.
func (d *ADWIN) cut() bool {
	s := &d.s
	width := float64(s.Width)
	if s.Width < 2 {
		return false
	}
	bound := math.Log(2 * math.Log(width) / d.opts.Delta)
	variance := s.Squares / width
	least := float64(d.opts.MinWindow)
	var n, total float64
	for i, row := range slices.Backward(s.Rows) {
		size := math.Ldexp(1, i)
		for _, b := range row {
			n += size
			total += b.Total
			rest := width - n
			if rest < least {
				return false
			}
			if n < least {
				continue
			}
			m := 1/(n-least+1) + 1/(rest-least+1)
			if math.Abs(total/n-(s.Total-total)/rest) > math.Sqrt(2*m*variance*bound)+2./3*bound*m {
				d.drop()
				return true
			}
		}
	}
	return false
}

// drop removes the oldest bucket.
func (d *ADWIN) drop() {
	s := &d.s
	last := len(s.Rows) - 1
	b := s.Rows[last][0]
	n := math.Ldexp(1, last)
	s.Width -= int64(n)
	s.Total -= b.Total
	rest := float64(s.Width)
	gap := b.Total/n - s.Total/rest
	s.Squares = max(s.Squares-b.Squares-gap*gap*n*rest/(n+rest), 0)
	s.Rows[last] = append(s.Rows[last][:0], s.Rows[last][1:]...)
	for last >= 0 && len(s.Rows[last]) == 0 {
		s.Rows = s.Rows[:last]
		last--
	}
}

// MarshalJSON returns the settings and the state, for Restore.
func (d *ADWIN) MarshalJSON() ([]byte, error) { return save(nameADWIN, d.opts, d.s) }

func (d *ADWIN) load(s adwinState) bool {
	var width int64
	if len(s.Rows) > maxRows || s.Tick < 0 || s.Tick >= d.opts.Clock || s.Last < Stable || s.Last > Drift {
		return false
	}
	for i, row := range s.Rows {
		if len(row) > d.opts.Buckets {
			return false
		}
		for _, b := range row {
			if !finite(b.Total, b.Squares) || b.Squares < 0 {
				return false
			}
			width += 1 << i
		}
	}
	d.s = s
	return width == s.Width && finite(s.Total, s.Squares) && s.Squares >= 0 && (len(s.Rows) == 0 || len(s.Rows[len(s.Rows)-1]) > 0)
}
