// Command quickstart runs the whole loop of Millwright on real data, with
// nothing installed but Go: a dataset version, a training process, its run, a
// registered model, a server, a monitor, an incident, a retraining, a
// promotion, and the lineage of one prediction back to its bytes.
//
// It is a template: the learner and the feed are this program's own, all else
// is the public API, wired by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(realMain(os.Args[1:])) }

// realMain returns the exit status: 0 well, 1 failed, 2 wrong usage, 130
// interrupted before the end.
func realMain(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == "train" {
		if err := trainMain(ctx, args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "train:", err)
			return 1
		}
		return 0
	}

	var cfg config
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.StringVar(&cfg.dir, "dir", "millwright-quickstart", "folder for all that the loop keeps; a second run goes on in it")
	flags.StringVar(&cfg.addr, "addr", "127.0.0.1:0", "address to serve on; port 0 lets the system choose")
	flags.StringVar(&cfg.data, "data", "", "Parquet file of flights to use in place of the embedded sample")
	flags.StringVar(&cfg.store, "store", "", "keep the bytes at this URL, s3://bucket/prefix (build with -tags s3)")
	flags.BoolVar(&cfg.serve, "serve", false, "keep the server up afterwards, with /metrics for Prometheus")
	flags.StringVar(&cfg.explain, "explain", "", "print the lineage of this request id of an earlier run, and nothing else")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "quickstart: unexpected argument %q: all settings are flags, see -h\n", flags.Arg(0))
		return 2
	}

	err := run(ctx, cfg, newConsole(os.Stdout))
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "quickstart: interrupted; what was committed is kept, run it again to go on")
		return 130
	default:
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		return 1
	}
}
