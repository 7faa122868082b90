package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/guard"
	"github.com/millwright-ml/millwright/serve/llm/pgstore"
	"github.com/millwright-ml/millwright/serve/llm/promexport"
)

// config is the file.
type config struct {
	Upstreams []struct {
		Name, URL, Metrics string
		// KeyFile is a file with the key, which is not written here.
		KeyFile string
	}
	Models []struct {
		Name      string
		Targets   []llm.Target
		Fallbacks []string
		// Routing is "load", "prefix" or "session". Default "load".
		Routing                string
		MaxTokens, Concurrency int
		Price                  llm.Price
	}
	Tenants []struct {
		llm.Tenant

		// KeyHashes are what llm-gateway -hash prints.
		KeyHashes []string
	}
	// Redact names what is taken out of requests and answers: "email", "phone",
	// "card", "iban", "ipv4", "key". Default none.
	Redact []string
	// DatabaseFile is a file with the URL of a PostgreSQL, which keeps limits,
	// budgets and costs for several replicas. Default none: they are in memory.
	DatabaseFile string
}

// service is what the file says.
type service struct {
	gateway *llm.Gateway
	costs   *llm.Costs
	store   *pgstore.Store // nil without a database.
}

// load makes a service of the file.
func load(ctx context.Context, path string, registry *prometheus.Registry, log *slog.Logger) (*service, error) {
	file, err := os.Open(path) //nolint:gosec // The operator names it.
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // It was only read.
	var c config
	d := json.NewDecoder(file)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var upstreams []llm.Upstream
	for _, u := range c.Upstreams {
		key, err := secret(u.KeyFile)
		if err != nil {
			return nil, err
		}
		upstreams = append(upstreams, llm.Upstream{Name: u.Name, URL: u.URL, Metrics: u.Metrics, Key: key})
	}
	var models []llm.Model
	for _, m := range c.Models {
		made := llm.Model{Name: m.Name, Targets: m.Targets, Fallbacks: m.Fallbacks, MaxTokens: m.MaxTokens, Concurrency: m.Concurrency, Price: m.Price}
		switch m.Routing {
		case "", "load":
		case "prefix":
			made.Router = llm.NewPrefixAffinity(nil)
		case "session":
			made.Router = llm.SessionAffinity{}
		default:
			return nil, fmt.Errorf("%s: model %q: the routing %q is none of load, prefix and session", path, m.Name, m.Routing)
		}
		models = append(models, made)
	}
	tenants := make(map[string]*llm.Tenant)
	for i := range c.Tenants {
		for _, hash := range c.Tenants[i].KeyHashes {
			tenants[hash] = &c.Tenants[i].Tenant
		}
	}
	keys, err := llm.NewKeys(tenants)
	if err != nil {
		return nil, err
	}
	redact, err := redaction(c.Redact)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	url, err := secret(c.DatabaseFile)
	if err != nil {
		return nil, err
	}
	s := &service{}
	background := func(err error) { log.Error("the database", "error", err) }
	counting := llm.CostsOptions{OnError: background}
	metrics := promexport.New()
	opts := llm.Options{Auth: keys, Hooks: redact}
	if url != "" {
		if s.store, err = pgstore.Open(ctx, url, &pgstore.Options{OnError: background}); err != nil {
			return nil, err
		}
		opts.Store, counting.Store = s.store, s.store
	}
	s.costs = llm.NewCosts(&counting)
	opts.Observers = []llm.Observer{metrics, s.costs, access{log}}
	s.gateway, err = llm.New(upstreams, models, &opts)
	if err == nil {
		metrics.Watch(s.gateway)
		err = registry.Register(metrics)
	}
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// close ends what the service holds, behind the gateway's shutdown.
func (s *service) close(ctx context.Context) error {
	if s.store == nil {
		return nil
	}
	return s.store.Shutdown(ctx)
}

// secret is what stands in a file, nothing without one.
func secret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file) //nolint:gosec // The operator names it.
	return strings.TrimSpace(string(b)), err
}

// redaction is the hook for the kinds.
func redaction(kinds []string) ([]llm.Hook, error) {
	known := map[string]guard.Pattern{}
	for _, p := range guard.Personal() {
		known[p.Kind()] = p
	}
	var patterns []guard.Pattern
	for _, kind := range kinds {
		p, ok := known[kind]
		if !ok {
			return nil, fmt.Errorf("redact: %q is none of %v", kind, slices.Sorted(maps.Keys(known)))
		}
		patterns = append(patterns, p)
	}
	if len(patterns) == 0 {
		return nil, nil
	}
	return []llm.Hook{guard.Redact(patterns, nil)}, nil
}

// access logs a line for each request, without what was said.
type access struct{ log *slog.Logger }

// Observe implements llm.Observer.
func (a access) Observe(x *llm.Exchange) {
	a.log.Info("request", "id", x.ID, "tenant", x.Tenant, "operation", x.Operation, "model", x.Served, "upstream", x.Upstream, "status", x.Status,
		"attempts", x.Attempts, "input", x.Usage.Input, "output", x.Usage.Output, "cost", float64(x.Cost)/1e9, "took", x.Ended.Sub(x.Began), "error", x.Err)
}
