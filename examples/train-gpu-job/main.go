// Command train-gpu-job is a service that trains: an HTTP API to submit jobs, to
// follow their logs as they come, to ask why one waits or failed, to suspend,
// resume and cancel, and to see who used how much. It keeps no state of its own:
// kill it, start it again, and every job is found again.
//
// Jobs are processes of this machine or, with -kubeconfig or -in-cluster, of a
// Kubernetes cluster. It is a template: copy the folder, put your users into
// auth.go and your rules into admit.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitCode(err))
	}
}

// config is what the flags say.
type config struct {
	addr    string
	dir     string
	program []string
	params  []string
	open    bool
	cluster clusterConfig
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "train" {
		return trainDemo(ctx, os.Getenv, out) // what the jobs run unless they say otherwise
	}
	var c config
	flags := flag.NewFlagSet("train-gpu-job", flag.ContinueOnError)
	flags.StringVar(&c.addr, "addr", "127.0.0.1:8817", "where the service listens")
	flags.StringVar(&c.dir, "dir", "jobs", "the folder of jobs, logs and checkpoints")
	program := flags.String("program", "", "the training program and its arguments; without it a small one in this binary")
	flags.BoolVar(&c.open, "any-command", false, "jobs may run any command with any variable and image, not only the program")
	params := flags.String("params", "STEPS,PAUSE", "the environment variables that jobs may set")
	demo := flags.Bool("demo", false, "take one job through the service, suspended and resumed on the way, and end")
	printRBAC := flags.Bool("rbac", false, "print the Kubernetes roles that the service needs, and end")
	c.cluster.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	c.program, c.params = strings.Fields(*program), strings.Split(*params, ",")
	if *printRBAC {
		return c.cluster.printRBAC(out)
	}
	users, err := parseUsers(os.Getenv("TRAIN_TOKENS"))
	if err != nil {
		return err
	}
	// Whoever may submit jobs may use the machine: without tokens only this one.
	if host, _, err := net.SplitHostPort(c.addr); err != nil || (len(users) == 0 && !loopback(host)) {
		return fmt.Errorf("-addr %s: set TRAIN_TOKENS to listen beyond this machine", c.addr)
	}
	launcher, closeLauncher, err := openLauncher(ctx, &c)
	if err != nil {
		return err
	}
	defer closeLauncher()
	s := &service{
		launcher: launcher, users: users, log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		rules: rules{program: c.program, params: c.params, open: c.open, image: c.cluster.image, checkpoints: c.checkpoints()},
	}
	return serve(ctx, out, s, c.addr, *demo)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// serve serves until ctx ends, or until the demo has.
func serve(ctx context.Context, out io.Writer, s *service, addr string, demo bool) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return streams },
	}
	url := "http://" + listener.Addr().String()
	fmt.Fprintf(out, "Training at %s\n", url)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	var failed error
	if demo {
		failed = tour(ctx, out, url)
	} else {
		select {
		case failed = <-ended:
		case <-ctx.Done():
		}
	}
	// Jobs go on without us. Readers of streams come back with their cursors.
	endStreams()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(failed, server.Shutdown(grace))
}
