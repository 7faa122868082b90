package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid marks settings and saved states that make no detector.
var ErrInvalid = errs.ErrInvalid

// State is what a detector says about the series at the last value.
type State int

const (
	// Stable is no change.
	Stable State = iota
	// Warning is a change that is not certain yet. Only DDM, EDDM, HDDMA and
	// HDDMW warn.
	Warning
	// Drift is a change.
	Drift
)

// String returns stable, warning or drift.
func (s State) String() string {
	switch s {
	case Stable:
		return "stable"
	case Warning:
		return "warning"
	case Drift:
		return "drift"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Detector watches one series. It is not safe for concurrent use.
type Detector interface {
	// Update takes the next value.
	Update(x float64) State
	// Reset forgets the series.
	Reset()
	// MarshalJSON returns the settings and the state, for Restore.
	json.Marshaler
}

// version is that of the saved form.
const version = 1

type saved struct {
	Detector string          `json:"detector"`
	Version  int             `json:"version"`
	Options  json.RawMessage `json:"options"`
	State    json.RawMessage `json:"state"`
}

func save(name string, options, state any) ([]byte, error) {
	o, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("stream: save %s: %w", name, err)
	}
	s, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("stream: save %s: %w", name, err)
	}
	return json.Marshal(saved{name, version, o, s})
}

// Restore returns the detector that wrote the JSON, as it was. Data that no
// detector of this version can have written is ErrInvalid.
func Restore(data []byte) (Detector, error) {
	var in saved
	if err := strict(data, &in); err != nil {
		return nil, fmt.Errorf("stream: restore: %w", err)
	}
	if in.Version != version {
		return nil, fmt.Errorf("stream: restore %q: version %d, want %d: written by another release: %w", in.Detector, in.Version, version, ErrInvalid)
	}
	var d Detector
	var err error
	switch in.Detector {
	case nameADWIN:
		d, err = restore(in, NewADWIN, (*ADWIN).load)
	case namePageHinkley:
		d, err = restore(in, NewPageHinkley, (*PageHinkley).load)
	case nameCUSUM:
		d, err = restore(in, NewCUSUM, (*CUSUM).load)
	case nameKSWIN:
		d, err = restore(in, NewKSWIN, (*KSWIN).load)
	case nameDDM:
		d, err = restore(in, NewDDM, (*DDM).load)
	case nameEDDM:
		d, err = restore(in, NewEDDM, (*EDDM).load)
	case nameHDDMA:
		d, err = restore(in, NewHDDMA, (*HDDMA).load)
	case nameHDDMW:
		d, err = restore(in, NewHDDMW, (*HDDMW).load)
	default:
		err = fmt.Errorf("no such detector: %w", ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("stream: restore %q: %w", in.Detector, err)
	}
	return d, nil
}

// restore makes a detector with its settings and lets it load its state.
func restore[D Detector, O, S any](in saved, create func(*O) (D, error), load func(D, S) bool) (Detector, error) {
	var options O
	if err := strict(in.Options, &options); err != nil {
		return nil, err
	}
	d, err := create(&options)
	if err != nil {
		return nil, err
	}
	var state S
	if err := strict(in.State, &state); err != nil {
		return nil, err
	}
	if !load(d, state) {
		return nil, fmt.Errorf("a state that cannot be: %w", ErrInvalid)
	}
	return d, nil
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return nil
}

// largest is beyond what a series holds, and its square can still be added up.
const largest = 1e150

// number cuts a value off, and says whether it is a number at all.
func number(x float64) (float64, bool) {
	return min(max(x, -largest), largest), x-x == 0
}

// left is the state that is reported when a value is left out. A drift still
// ends the series at the next value that counts.
func left(s State) State {
	if s == Drift {
		return Stable
	}
	return s
}

// sound says whether a saved mean can be one: of n values up to a limit.
func (m mean) sound(limit float64) bool {
	return m.N >= 0 && m.N <= math.MaxInt64/2 && math.Abs(m.Value) <= limit && (m.N > 0 || m.Value == 0)
}

// mean is a running mean.
type mean struct {
	N     int64   `json:"n"`
	Value float64 `json:"mean"`
}

func (m *mean) add(x float64) {
	m.N++
	m.Value += (x - m.Value) / float64(m.N)
}

func finite(values ...float64) bool {
	for _, v := range values {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// or returns the default for 0.
func or[T int | float64](v, standard T) T {
	if v == 0 {
		return standard
	}
	return v
}
