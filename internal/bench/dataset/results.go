package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// results is the table that is printed at the end, also of a run broken off.
type results struct {
	lines []*line
}

type line struct {
	name, unit string
	cores      int  // 0 where they do not matter.
	less       bool // Smaller is better.
	value      map[string]float64
}

func (r *results) add(name, unit string, cores int, less bool, party string, value float64) {
	var at *line
	for _, l := range r.lines {
		if l.name == name && l.cores == cores {
			at = l
		}
	}
	if at == nil {
		at = &line{name: name, unit: unit, cores: cores, less: less, value: map[string]float64{}}
		r.lines = append(r.lines, at)
	}
	at.value[party] = value
	fmt.Fprintf(os.Stderr, "%-40s %d cores  %-10s %12.4g %s\n", name, cores, party, value, unit)
}

// ratio compares ours with the best of the four: above 1 ours is the better.
func (l *line) ratio() (ratio float64, ok bool) {
	own := l.value[oursName]
	for party, v := range l.value {
		if party == oursName || party == arrow15Name || v == 0 || own == 0 {
			continue
		}
		one := own / v
		if l.less {
			one = v / own
		}
		if !ok || one < ratio {
			ratio, ok = one, true
		}
	}
	return ratio, ok
}

// columns are the parties as the table shows them.
func columns() []string { return append(parties(), arrow15Name) }

func (r *results) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "measurement\tcores\t")
	for _, party := range columns() {
		fmt.Fprintf(w, "%s\t", party)
	}
	fmt.Fprint(w, "unit\tto the best\t\n")
	for _, l := range r.lines {
		cores := "–"
		if l.cores > 0 {
			cores = fmt.Sprint(l.cores)
		}
		fmt.Fprintf(w, "%s\t%s\t", l.name, cores)
		for _, party := range columns() {
			if v, ok := l.value[party]; ok {
				fmt.Fprintf(w, "%.4g\t", v)
			} else {
				fmt.Fprint(w, "–\t")
			}
		}
		if ratio, ok := l.ratio(); ok {
			fmt.Fprintf(w, "%s\t%.2f×\t\n", l.unit, ratio)
		} else {
			fmt.Fprintf(w, "%s\t–\t\n", l.unit)
		}
	}
	return w.Flush()
}

// median is the middle repetition: the processor's time on one core, the wall's
// on more.
func median(cores int, all []figures) float64 {
	var times []float64
	for _, f := range all {
		times = append(times, best(cores, []figures{f}))
	}
	slices.Sort(times)
	return times[len(times)/2]
}
