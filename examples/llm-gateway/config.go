package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/serve/llm"
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
}

// load makes a gateway of the file.
func load(path string, registry *prometheus.Registry, log *slog.Logger) (*llm.Gateway, error) {
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
		key := ""
		if u.KeyFile != "" {
			b, err := os.ReadFile(u.KeyFile)
			if err != nil {
				return nil, err
			}
			key = strings.TrimSpace(string(b))
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
	metrics := promexport.New()
	g, err := llm.New(upstreams, models, &llm.Options{Auth: keys, Observers: []llm.Observer{metrics, access{log}}})
	if err != nil {
		return nil, err
	}
	metrics.Watch(g)
	return g, registry.Register(metrics)
}

// access logs a line for each request, without what was said.
type access struct{ log *slog.Logger }

// Observe implements llm.Observer.
func (a access) Observe(x *llm.Exchange) {
	a.log.Info("request", "id", x.ID, "tenant", x.Tenant, "operation", x.Operation, "model", x.Served, "upstream", x.Upstream, "status", x.Status,
		"attempts", x.Attempts, "input", x.Usage.Input, "output", x.Usage.Output, "cost", float64(x.Cost)/1e9, "took", x.Ended.Sub(x.Began), "error", x.Err)
}
