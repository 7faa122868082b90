package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/alert"
	"github.com/millwright-ml/millwright/monitor/ecs"
	"github.com/millwright-ml/millwright/monitor/inferlog"
	"github.com/millwright-ml/millwright/monitor/promexport"
	"github.com/millwright-ml/millwright/monitor/report"
	"github.com/millwright-ml/millwright/monitor/servehook"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/train/local"
)

const (
	modelName = "loans"
	champion  = "champion"
)

// service is everything that runs.
type service struct {
	dir, url string
	out      io.Writer

	registry *registry.Registry
	launcher *local.Launcher
	catalog  *dataset.Catalog
	closers  []func() error

	server  *serve.Server
	monitor *monitor.Monitor
	log     *inferlog.Log
	alerts  *alert.Sender
	reports *report.Recorder
	logger  *slog.Logger
	client  *oip.Client

	mu      sync.Mutex
	answers map[string]uint64 // To triggers, by result.
	hooked  []string          // What the webhook was told.
}

// open opens what is kept in the folder: the registry of models, the jobs and
// the inference log.
func open(ctx context.Context, dir string, out io.Writer) (_ *service, err error) {
	if _, err := os.Stat(filepath.Join(dir, "registry.db")); err == nil {
		return nil, fmt.Errorf("folder %s holds an earlier run: choose another with -dir, or remove it", dir)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &service{dir: dir, out: out, reports: report.NewRecorder(0), answers: map[string]uint64{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	store, err := dirblob.Open(filepath.Join(dir, "store"))
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, store.Close)
	models, err := sqlstore.Open(ctx, "sqlite://"+filepath.ToSlash(filepath.Join(dir, "registry.db")), nil)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, models.Close)
	s.registry = registry.New(models, blob.Sub(store, "models"), nil)
	s.catalog = dataset.New(blob.Sub(store, "datasets"), nil)
	lines, err := os.Create(filepath.Join(dir, "monitor.log"))
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, lines.Close)
	s.logger = slog.New(ecs.NewHandler(lines, &ecs.Options{Service: modelName, Dataset: modelName + ".monitor"}))
	s.launcher, err = local.Open(filepath.Join(dir, "jobs"), nil)
	return s, err
}

func (s *service) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

func (s *service) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// start serves the champion and watches it. onReport is the program's answer.
func (s *service) start(ctx context.Context, ln net.Listener, cfg config, onReport func(monitor.Report)) (stop func(context.Context) error, err error) {
	s.url = "http://" + ln.Addr().String()
	v, err := s.registry.Resolve(ctx, modelName+"@"+champion)
	if err != nil {
		return nil, err
	}
	reference, err := s.reference(ctx, v)
	if err != nil {
		return nil, err
	}
	if s.log, err = inferlog.Open(ctx, s.catalog, "loans-inferences", inferlog.SchemaOf(reference), nil); err != nil {
		return nil, err
	}
	s.monitor, err = monitor.New(reference, &monitor.Options{
		Model: modelName, Version: strconv.Itoa(v.Number), SliceBy: []string{"channel"}, Log: s.log, OnReport: onReport,
		// One false alarm in a hundred windows would be too many to be woken by.
		Policy: monitor.Policy{Alpha: 1e-4, MinRows: 1000},
	})
	if err != nil {
		return nil, err
	}
	hook, err := servehook.New(s.monitor, &servehook.Options{Output: "default"})
	if err != nil {
		return nil, err
	}
	s.server = serve.New(&serve.Options{Name: "drift-retrain", Observers: []serve.Observer{hook}})
	if err := s.deploy(ctx, v); err != nil {
		return nil, err
	}
	if cfg.webhook == "" {
		cfg.webhook = s.url + "/hook"
	}
	if s.alerts, err = alert.New(cfg.webhook, &alert.Options{Link: s.url + "/report"}); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v2", s.server)
	mux.Handle("/v2/", s.server)
	mux.Handle("GET /metrics", promexport.Handler(nil, promexport.New(s.monitor, &promexport.Options{
		InferenceLog: func() map[string]uint64 { return s.log.Stats().Results() }, Triggers: s.results,
	})))
	mux.Handle("GET /report", s.reports)
	mux.Handle("GET /report.json", s.reports)
	mux.HandleFunc("POST /hook", s.hook)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	if s.client, err = oip.NewClient(s.url, nil); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		err := errors.Join(web.Shutdown(ctx), s.server.Shutdown(ctx), s.monitor.Shutdown(ctx), s.log.Shutdown(ctx))
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	}, nil
}

// hook stands for the chat or the pager.
func (s *service) hook(_ http.ResponseWriter, req *http.Request) {
	var told struct {
		Status       string            `json:"status"`
		CommonLabels map[string]string `json:"commonLabels"`
	}
	if json.NewDecoder(io.LimitReader(req.Body, 1<<20)).Decode(&told) == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hooked = append(s.hooked, fmt.Sprintf("%s: %s of %s version %s", told.Status, told.CommonLabels["alertname"], told.CommonLabels["model"], told.CommonLabels["version"]))
	}
}

func (s *service) results() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]uint64{"promoted": 0, "refused": 0, "failed": 0}
	maps.Copy(out, s.answers)
	return out
}

func (s *service) answered(result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[result]++
}

// reference is the profile that the version carries.
func (s *service) reference(ctx context.Context, v *registry.Version) (*profile.Reference, error) {
	data, err := s.registry.Profile(ctx, v)
	if err != nil {
		return nil, err
	}
	var r profile.Reference
	return &r, json.Unmarshal(data, &r)
}

// deploy puts a version in the place of the one before, between two requests.
func (s *service) deploy(ctx context.Context, v *registry.Version) error {
	files, err := s.registry.Open(ctx, v)
	if err != nil {
		return err
	}
	m, err := runtime{}.Load(ctx, files)
	if err != nil {
		return err
	}
	return s.server.Deploy(ctx, serve.Deployment{Name: modelName, Version: strconv.Itoa(v.Number), Model: m, Platform: "go", Digest: v.Digest})
}
