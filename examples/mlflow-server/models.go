package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/registry"
	registrymlflow "github.com/millwright-ml/millwright/registry/mlflow"
	registrystore "github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/registry/webhook"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// models is the model registry of the server: its records are in the database
// of the runs, its files in a place that clients do not write to.
type models struct {
	store   *registrystore.Store
	hooks   *webhook.Hooks
	handler *registrymlflow.Handler
}

// openModels puts the registry behind the tracking server's options.
func openModels(ctx context.Context, cfg *config, runs tracking.Store, opts *mlflow.Options, places *locations) (m *models, err error) {
	files, err := places.destination(ctx, modelsFlag, cfg.models)
	if err != nil {
		return nil, err
	}
	keys, err := readKeys(cfg.hookKeys)
	if err != nil {
		return nil, err
	}
	m = &models{}
	if m.store, err = registrystore.Open(ctx, cfg.backend, nil); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.store.Close())
		}
	}()
	m.hooks, err = webhook.New(m.store, &webhook.Options{
		Keys: keys, AllowHTTP: cfg.hookHTTP, AllowNetworks: cfg.hookInside, Logger: opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	wired := &registrymlflow.Options{
		Tracking: runs, Artifacts: opts.Artifacts, OpenArtifacts: opts.OpenArtifacts, Webhooks: m.hooks,
		Prefix: opts.Prefix, AllowedHosts: opts.AllowedHosts, AllowedOrigins: opts.AllowedOrigins, Logger: opts.Logger,
	}
	if auth := opts.Auth; auth != nil {
		wired.Authorize = func(r *http.Request, a registrymlflow.Action) error {
			return auth.AuthorizeModel(r, mlflow.Verb(a.Verb), a.Model)
		}
		wired.AuthorizeRead = func(r *http.Request, id tracking.ExperimentID) error {
			return auth.Authorize(r, mlflow.Action{Verb: mlflow.Read, Experiment: id})
		}
		wired.User = func(r *http.Request) string {
			name, _ := auth.User(r) // who is nobody was refused before
			return name
		}
		wired.Changed = auth.ModelChanged
	}
	m.handler, err = registrymlflow.NewHandler(registry.New(m.store, files, nil), wired)
	opts.Registry = m.handler
	return m, err
}

// close ends what works in the background, and then the store.
func (m *models) close(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return errors.Join(m.handler.Shutdown(ctx), m.hooks.Shutdown(ctx), m.store.Close())
}

// readKeys reads the keys that encrypt the secrets of webhooks.
func readKeys(path string) (keys [][]byte, err error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		key, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("--webhook-keys: a line of %s is not 64 hex digits", path)
		}
		keys = append(keys, key)
	}
	return keys, lines.Err()
}
