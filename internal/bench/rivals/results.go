package rivals

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// The names of the two.
const (
	Ours   = "ours"
	MLflow = "mlflow"
)

// Results is the table that is printed at the end, also of a run broken off.
// The zero value is empty.
type Results struct {
	order []string
	rows  map[string]*row
}

type row struct {
	unit  string
	less  bool // smaller is better
	value map[string]float64
}

// Add enters a figure of one of the two; less says that a smaller one is better.
func (r *Results) Add(name, unit string, less bool, of string, value float64) {
	if r.rows == nil {
		r.rows = map[string]*row{}
	}
	line := r.rows[name]
	if line == nil {
		line = &row{unit: unit, less: less, value: map[string]float64{}}
		r.rows[name] = line
		r.order = append(r.order, name)
	}
	line.value[of] = value
	fmt.Fprintf(os.Stderr, "%-52s %-8s %12.3f %s\n", name, of, value, unit)
}

// Print writes the table with a ratio for what both have done: above 1 ours is
// the better.
func (r *Results) Print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "measurement\t%s\t%s\tunit\tratio\t\n", Ours, MLflow)
	for _, name := range r.order {
		line := r.rows[name]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t", name, figure(line.value, Ours), figure(line.value, MLflow), line.unit)
		ratio := line.value[Ours] / line.value[MLflow]
		if line.less {
			ratio = 1 / ratio
		}
		if line.value[MLflow] == 0 || line.value[Ours] == 0 {
			fmt.Fprint(w, "–\t\n")
			continue
		}
		fmt.Fprintf(w, "%.1f×\t\n", ratio)
	}
	return w.Flush()
}

func figure(values map[string]float64, of string) string {
	if v, ok := values[of]; ok {
		return fmt.Sprintf("%.4g", v)
	}
	return "–"
}

// Median repeats f for the length, at least three times, and returns the median
// in milliseconds.
func Median(length time.Duration, f func() error) (float64, error) {
	var times []time.Duration
	if err := f(); err != nil { // the first warms
		return 0, err
	}
	for began := time.Now(); time.Since(began) < length || len(times) < 3; {
		one := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(one))
	}
	slices.Sort(times)
	return Milliseconds(times[len(times)/2]), nil
}

// Milliseconds is d as the table has it.
func Milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// Peak is the highest of what gauge says every 50 ms while f runs.
func Peak(ctx context.Context, gauge func() float64, f func(context.Context) error) (float64, error) {
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for peak := gauge(); ; peak = max(peak, gauge()) {
		select {
		case err := <-done:
			return peak, err
		case <-tick.C:
		}
	}
}
