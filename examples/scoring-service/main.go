// Command scoring-service answers for a tree model from a registry over the Open
// Inference Protocol, tries new versions of it on a part of the traffic, and
// promotes or takes them back on evidence. It is a template: copy the folder,
// replace the model and its name.
//
//	go run ./examples/scoring-service         # a service at 127.0.0.1:8826
//	go run ./examples/scoring-service -demo   # the same with traffic, to its end
//
// The registry is one SQLite file and a folder, or PostgreSQL by -store; without
// versions it gets the two of folder model, so that nothing is trained.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	addr, dir, store string
	share            float64
	drain            time.Duration
	demo             bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "scoring-service:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var c config
	flags := flag.NewFlagSet("scoring-service", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.addr, "addr", "127.0.0.1:8826", "address to listen at")
	flags.StringVar(&c.dir, "dir", "scoring-data", "folder for the models in use and, without -store, for the registry")
	flags.StringVar(&c.store, "store", os.Getenv("SCORING_STORE"), "the registry's database, postgres://…; default $SCORING_STORE, else SQLite in -dir")
	flags.Float64Var(&c.share, "share", 0.5, "part of the users that a challenger gets at the end of its ramp")
	flags.DurationVar(&c.drain, "drain", 20*time.Second, "time for requests in flight when the service ends")
	flags.BoolVar(&c.demo, "demo", false, "send requests to itself until the challenger is decided on, then end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	level := slog.LevelInfo
	if c.demo {
		// It shows one line of its log itself.
		level = slog.LevelError
		c.addr = "127.0.0.1:0"
		if c.dir, err = os.MkdirTemp("", "scoring-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))

	registry, closeRegistry, err := openRegistry(ctx, c.store, filepath.Join(c.dir, "registry"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeRegistry()) }()
	s, err := newService(registry, &c, logger)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	if c.demo {
		return demo(ctx, s, listener, url, stdout)
	}
	fmt.Fprintf(stdout, "Scoring at %s: POST %s/v2/models/%s/infer\n", url, url, modelName)
	return s.serve(ctx, listener)
}
