// Command monitor measures package monitor on one machine, in one run: what a row
// costs to observe and to count, what a decision, a scrape and the inference log
// cost, what monitoring adds to a server, and how fast a profile is built beside
// whylogs and Evidently.
//
//	python3 -m venv rivals && rivals/bin/pip install -r monitor/requirements.txt
//	go run ./monitor -whylogs rivals/bin/python -evidently rivals/bin/python
//
// Run it in internal/bench. All is of 32 columns of numbers. Nanoseconds on the path
// of a request are the smallest of many short runs, which other work on the machine
// can only make longer; the log, the profiles and the rivals are told in processor
// time. Beside each figure is what is aimed at.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"
)

type config struct {
	whylogs, evidently string
	length             time.Duration
	rows               int
}

func main() {
	var c config
	flag.StringVar(&c.whylogs, "whylogs", "", "an interpreter with whylogs and pandas; default: it is left out")
	flag.StringVar(&c.evidently, "evidently", "", "an interpreter with Evidently; default: it is left out")
	flag.DurationVar(&c.length, "length", 3*time.Second, "length of each measurement")
	flag.IntVar(&c.rows, "rows", 200_000, "rows of the table that profiles are built of")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figure is one line of the result.
type figure struct {
	name  string
	value float64
	unit  string
	aim   float64 // 0 for none.
	least bool    // The aim is the least that is wanted, not the most.
}

func (f figure) verdict() string {
	switch {
	case f.aim == 0:
		return ""
	case f.least && f.value >= f.aim || !f.least && f.value <= f.aim:
		return "met"
	}
	return "missed"
}

func run(ctx context.Context, c *config, to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tvalue\tunit\taim\t\t")
	for _, part := range []func(context.Context, *config) ([]figure, error){hot, decisions, scrapes, serving, logging, profiles} {
		figures, err := part(ctx, c)
		if err != nil {
			return err
		}
		for _, f := range figures {
			aim := "–"
			if f.aim > 0 {
				aim = fmt.Sprintf("%g", f.aim)
			}
			fmt.Fprintf(w, "%s\t%.4g\t%s\t%s\t%s\t\n", f.name, f.value, f.unit, aim, f.verdict())
		}
	}
	return w.Flush()
}
