// Command llm-gateway serves language models that run elsewhere, with tenants,
// budgets, routing and metrics, by a file of configuration.
//
// It is a template: copy the folder.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ml/millwright/serve/llm"
)

func main() {
	path := flag.String("config", "config.json", "the configuration")
	listen := flag.String("listen", "127.0.0.1:8080", "the address for clients")
	admin := flag.String("admin", "127.0.0.1:8081", "the address for Prometheus and probes")
	hash := flag.Bool("hash", false, "read a key from standard input and print its hash for the configuration")
	flag.Parse()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if *hash {
		keys := bufio.NewScanner(os.Stdin)
		for keys.Scan() {
			fmt.Println(llm.HashKey(keys.Text()))
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *path, *listen, *admin, log)
	stop()
	if err != nil {
		log.Error("it ended", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, path, listen, admin string, log *slog.Logger) error {
	registry := prometheus.NewRegistry()
	s, err := load(ctx, path, registry, log)
	if err != nil {
		return err
	}
	g := s.gateway
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /costs", s.costs.Handler())
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		for _, u := range g.Upstreams() {
			if u.Ready {
				return
			}
		}
		http.Error(w, "no upstream is ready", http.StatusServiceUnavailable)
	})
	servers := []*http.Server{
		// No WriteTimeout: streams are as long as they are, and the gateway ends
		// those that nobody reads.
		{Addr: listen, Handler: g, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10},
		{Addr: admin, Handler: mux, ReadHeaderTimeout: 10 * time.Second},
	}
	ended := make(chan error, len(servers)+1)
	for _, server := range servers {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", server.Addr)
		if err != nil {
			return errors.Join(err, s.close(ctx))
		}
		go func() { ended <- server.Serve(l) }()
		log.Info("it listens", "address", l.Addr().String())
	}
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	go func() { _ = g.Watch(watching, nil) }() // It returns when watching ends.
	counted := make(chan error, 1)
	counting, uncount := context.WithCancel(context.WithoutCancel(ctx))
	defer uncount()
	go func() { counted <- s.costs.Run(counting) }()
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	// What runs may end, new requests are refused.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err = errors.Join(err, g.Shutdown(closing))
	for _, server := range servers {
		err = errors.Join(err, server.Shutdown(closing))
	}
	// Then what was used and what it cost is brought to the database.
	uncount()
	return errors.Join(err, <-counted, s.close(closing))
}
