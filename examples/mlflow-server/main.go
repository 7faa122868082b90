// Command mlflow-server serves MLflow's REST API, for the unmodified Python
// client and for MLflow's web UI, from one process without Python:
//
//	go run ./examples/mlflow-server --backend-store-uri sqlite:///mlflow.db --port 5000
//
// It takes the flags and the environment variables of "mlflow server" by the
// same names. It is an example to copy: what it wires together are packages
// tracking/mlflow and registry/mlflow (the handlers), tracking/sqlstore and
// registry/sqlstore (SQLite or PostgreSQL), registry/webhook and dataset/blob
// (files in a folder or on S3), and each wire is a place to change something. See README.md beside it.
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
	"sync"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 2 && (os.Args[1] == "hash-password" || os.Args[1] == "new-token") {
		err = hash(os.Args[1], os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mlflow-server:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	began := time.Now()
	cfg, err := parse(args, os.Getenv, out)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(out, nil))

	if holdsMLflow(ctx, cfg.backend) {
		log.Warn("the database has tables of an MLflow server, whose runs are not shown here: bring them over with mlflow.Import")
	}
	store, err := sqlstore.Open(ctx, cfg.backend, &sqlstore.Options{ArtifactRoot: cfg.root})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	places, err := newLocations(cfg.root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, places.close()) }()
	opts := &mlflow.Options{
		OpenArtifacts: places.at, Prefix: cfg.prefix, AllowedHosts: cfg.hosts, AllowedOrigins: cfg.origins, Logger: log,
	}
	if cfg.destination != "" {
		if opts.Artifacts, err = places.destination(ctx, artifactsFlag, cfg.destination); err != nil {
			return err
		}
	}
	if cfg.uiDir != "" {
		opts.UIDir = os.DirFS(cfg.uiDir)
	}
	if err := protect(cfg, opts); err != nil {
		return err
	}
	models, err := openModels(ctx, cfg, store, opts, places)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, models.close(cfg.grace)) }()
	handler, err := mlflow.NewHandler(store, opts)
	if err != nil {
		return err
	}
	m := newMetrics()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.handler())
	mux.Handle("/", m.measure(handler))

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.address())
	if err != nil {
		return err
	}
	if err := models.hooks.Start(); err != nil {
		return err
	}
	log.Info("serving", "url", "http://"+listener.Addr().String()+cfg.prefix, "ready after", time.Since(began).Round(time.Millisecond).String())

	// Everything that works in the background ends before the store is closed.
	client := tracking.New(store, &tracking.Options{Artifacts: opts.Artifacts, OpenArtifacts: opts.OpenArtifacts})
	background, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		retain(background, cfg, client, m, log, func(ctx context.Context) error { return forget(ctx, opts.Auth, store) })
	})

	return serve(ctx, listener, mux, cfg, log)
}

// serve answers requests until ctx ends, and then gives those under way the
// time to finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, cfg *config, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping", "grace", cfg.grace.String())
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.grace)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return errors.Join(fmt.Errorf("some requests did not finish in time: %w", err), server.Close())
	}
	log.Info("stopped")
	return nil
}
