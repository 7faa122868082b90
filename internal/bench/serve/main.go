// Command serve measures package serve on one machine, in one run: what the handler
// costs over net/http, what decoding, batching, routing and gRPC cost, how many
// requests a core answers beside MLServer, BentoML and FastAPI with the same model,
// and how long requests take under a given load.
//
//	python3 -m venv rivals && rivals/bin/pip install -r serve/rivals/requirements.txt
//	go run ./serve -trees ../../.cache/trees-venv/bin/python \
//	    -mlserver ../../.cache/oip-venv/bin/python -rivals rivals/bin/python
//
// Run it in internal/bench. The model is XGBoost's: 100 trees of depth 4, 30 columns,
// a row a request, in JSON, over connections that stay open. Each of the rivals is one
// process that computes, as its documentation has it; ours is one process that is
// told to use one core for Go. What is compared is processor time a request, summed
// over a server's processes: it hardly depends on what else the machine does. The
// load generator runs on the same cores.
//
// Latencies are measured from when a request was due, not from when it was sent, at
// arrivals drawn beforehand: a server that stalls is not spared the requests that
// would have come meanwhile.
//
// On two cores at 2.5 GHz with much other work (the smallest of many runs for the
// parts): decode 1×4 JSON 517 ns, 32×512 binary 474 ns, the handler 2.3 µs, batching
// 42 ns and a router less than 50 ns more; processor time a request 51 µs (net/http
// alone 34 µs, gRPC 67 µs), of FastAPI 12.7 times and of MLServer 45 times as much.
// Latencies and what BentoML takes want a machine without other work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

type config struct {
	trees, mlserver, rivals string
	seconds                 float64
	only                    string
	dir                     string
}

func main() {
	var c config
	flag.StringVar(&c.trees, "trees", "", "the interpreter of scripts/realtools.sh's part trees, which trains the model; without it only what needs no model is measured")
	flag.StringVar(&c.mlserver, "mlserver", "", "the interpreter of its part oip; default: MLServer is left out")
	flag.StringVar(&c.rivals, "rivals", "", "the interpreter with FastAPI and BentoML; default: they are left out")
	flag.Float64Var(&c.seconds, "seconds", 5, "length of each measurement")
	flag.StringVar(&c.only, "only", "", "measure only what has this in its name: parts, servers, latency")
	serveDir := flag.String("serve", "", "(of the command itself) be our server, of the model in this folder")
	port := flag.Int("port", 0, "(of the command itself) its port")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if *serveDir != "" {
		err = serveModel(ctx, *serveDir, *port)
	} else {
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (c *config) wants(name string) bool { return strings.Contains(name, c.only) }

func run(ctx context.Context, c config) (err error) {
	if c.wants("parts") {
		if err := parts(ctx, time.Duration(c.seconds*float64(time.Second))); err != nil {
			return err
		}
	}
	if c.trees == "" || !c.wants("servers") && !c.wants("latency") {
		return nil
	}
	if c.dir, err = os.MkdirTemp("", "bench-serve-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	train := exec.CommandContext(ctx, c.trees, script, "train", c.dir)
	train.Stderr = os.Stderr
	if err := train.Run(); err != nil {
		return fmt.Errorf("training the model (run this in internal/bench): %w", err)
	}
	reqs, err := requests(filepath.Join(c.dir, "rows.f32"))
	if err != nil {
		return err
	}
	if err := c.servers(ctx, reqs); err != nil {
		return err
	}
	return nil
}

// servers measures each server there is, ours first.
func (c *config) servers(ctx context.Context, reqs *bodies) (err error) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { err = errors.Join(err, w.Flush()) }()
	fmt.Fprintln(w, "server\tCPU µs a request\trequests a core-second\tours\trequests a second, 16 at a time\tMiB\t")
	var ours, answers []float64
	var late []latencies
	for _, k := range c.kinds() {
		s, err := k.start(ctx, c.dir)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		f, err := s.measure(ctx, reqs, time.Duration(c.seconds*float64(time.Second)))
		if err == nil && answers == nil {
			answers = f.answers
		}
		if err == nil {
			err = same(answers, f.answers)
		}
		if err == nil && c.wants("latency") {
			var l latencies
			l, err = s.openLoop(ctx, reqs, f.rate, time.Duration(c.seconds*float64(time.Second)))
			late = append(late, l)
		}
		s.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		if ours == nil {
			ours = []float64{f.cpu}
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.0f\t%.1f×\t%.0f\t%.0f\t\n", k.name, f.cpu, 1e6/f.cpu, f.cpu/ours[0], f.rate, f.memory)
	}
	if len(late) > 0 {
		if err := w.Flush(); err != nil {
			return err
		}
		printLatencies(late)
	}
	return nil
}
