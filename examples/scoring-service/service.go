package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/deploy"
	"github.com/millwright-ml/millwright/serve/promexport"
	"github.com/millwright-ml/millwright/serve/rollout"
	"github.com/millwright-ml/millwright/serve/trees"
)

// service is all that runs.
type service struct {
	registry *registry.Registry
	server   *serve.Server
	keeper   *deploy.Keeper
	exporter *promexport.Exporter
	metrics  *prometheus.Registry
	config   *config
	logger   *slog.Logger
	// decided is told of each verdict on a challenger.
	decided func(rollout.Event)
}

func newService(reg *registry.Registry, c *config, logger *slog.Logger, observers ...serve.Observer) (*service, error) {
	access, err := serve.AccessLog(logger, &serve.AccessLogOptions{Quiet: []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}})
	if err != nil {
		return nil, err
	}
	s := &service{registry: reg, config: c, logger: logger, metrics: prometheus.NewRegistry(), decided: func(rollout.Event) {}}
	// The server follows the aliases of the registry. What it has in use is in a
	// folder, too, so that a restart needs no registry.
	s.keeper, err = deploy.New(reg, []deploy.Model{{
		Name: modelName, Alias: "champion", Beside: []string{"challenger"}, Batching: &serve.Batching{},
		Runtime: &trees.Runtime{Options: &trees.Options{File: "model.json", Output: "malignant"}},
	}}, &deploy.Options{Dir: filepath.Join(c.dir, "in-use"), Logger: logger})
	if err != nil {
		return nil, err
	}
	s.server = serve.New(&serve.Options{
		Name: "scoring-service", Logger: logger, Observers: append(observers, access),
		// Who sends too much gets an equal share when the service is full.
		Tenant: func(call *serve.Call) string { return call.HeaderValue("X-Tenant") },
	})
	if s.exporter, err = promexport.New(s.server, nil); err != nil {
		return nil, err
	}
	for _, collector := range []prometheus.Collector{s.exporter, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := s.metrics.Register(collector); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// handler has all routes. Authentication goes around it.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v2", s.server)
	mux.Handle("/v2/", s.server)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	return mux
}

// serve answers until ctx ends, then finishes what has begun.
func (s *service) serve(ctx context.Context, listener net.Listener) error {
	hs := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	background, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	failed := make(chan error, 3)
	wg.Go(func() { failed <- s.keeper.Run(background, s.server) })
	wg.Go(func() { failed <- s.rollouts(background) })
	wg.Go(func() {
		if err := hs.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.logger.Info("ending")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.drain)
	defer cancel()
	// No new connections, the requests in flight to their end, then the models.
	err = errors.Join(err, hs.Shutdown(drain))
	stop()
	wg.Wait()
	return errors.Join(err, s.server.Shutdown(drain))
}
