package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/inferlog"
	"github.com/millwright-ml/millwright/monitor/promexport"
	"github.com/millwright-ml/millwright/monitor/servehook"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/train/local"
)

const (
	datasetName    = "flights"
	inferenceLog   = "inference-log"
	experimentName = "flights-late"
	modelName      = "flights-late"
	champion       = "champion"
)

var (
	firstDay  = day(time.February, 1) // of the live traffic
	liveWeeks = 21                    // to 27 June
	incident  = 12                    // the week, counted from 0, in which the gateway breaks
)

// config is what the command line says.
type config struct {
	dir, addr, data, store string
	explain                string // a request id
	serve                  bool
}

// loop is one pass: the platform, and what lives only as long as the process.
type loop struct {
	*platform
	*console
	storeURL string
	launcher *local.Launcher
	flights  []flight
	source   string // digest of the data file

	server   *serve.Server
	monitor  *monitor.Monitor
	watch    *stopwatch
	log      *inferlog.Log
	http     *http.Server
	baseURL  string
	client   *oip.Client
	serveErr chan error

	ctx     context.Context // of the replay: the monitor's callback starts work in it
	state   liveState
	january *dataset.Version
	first   *trained
}

// run is the whole program after the flags.
func run(ctx context.Context, cfg config, out *console) (err error) {
	if cfg.explain != "" {
		return explainOnly(ctx, cfg, out)
	}
	flights, source, err := importFlights(cfg.data)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(cfg.dir)
	if err != nil {
		return err
	}
	release, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer release()
	// Before any work: a port in use should not cost a training.
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.addr)
	if err != nil {
		return fmt.Errorf("address %s cannot be served on: is another program using the port? choose one with -addr: %w", cfg.addr, err)
	}
	defer func() { _ = ln.Close() }() // by then the server has closed it, in the good case
	p, err := openPlatform(ctx, dir, cfg.store)
	if err != nil {
		return err
	}
	// What is recorded must be stored also when ctx is what ended the run.
	defer func() { err = errors.Join(err, p.close(context.WithoutCancel(ctx))) }()
	l := &loop{platform: p, console: out, storeURL: cfg.store, flights: flights, source: source}
	if l.launcher, err = local.Open(filepath.Join(dir, "jobs"), nil); err != nil {
		return err
	}
	out.title("Millwright: the whole loop on %s real flights, in %s", count(len(flights)), cfg.dir)
	if err := l.tidy(ctx); err != nil {
		return err
	}

	steps := []func(context.Context) error{l.importJanuary, l.trainFirst, l.track, l.promoteFirst}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := l.answer(ctx, ln); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop(context.WithoutCancel(ctx))) }()
	example, err := l.live(ctx)
	if err != nil {
		return err
	}
	out.step(8, "lineage", "of one prediction, from the answer back to the bytes")
	if err := l.explain(ctx, example); err != nil {
		return err
	}
	l.summary(cfg, example)
	if t := l.state.traffic; t.failed > 0 {
		return fmt.Errorf("%d of %d requests failed, the first with: %w", t.failed, t.sent, t.firstFailure)
	}
	if cfg.serve {
		out.title("\nServing at %s until Ctrl-C; %s/metrics is for Prometheus.", l.baseURL, l.baseURL)
		select {
		case err := <-l.serveErr:
			return err
		case <-ctx.Done():
		}
	}
	return nil
}

// tidy ends what a killed earlier run left half done: its training processes
// and the runs that they would have finished.
func (l *loop) tidy(ctx context.Context) error {
	for job, err := range l.launcher.List(ctx, nil) {
		if err != nil {
			return err
		}
		status, err := job.Status(ctx)
		if err != nil {
			return err
		}
		if !status.Phase.Ended() {
			l.line("ending a training process that an interrupted run left behind")
			if err := job.Cancel(ctx); err != nil {
				return err
			}
		}
		if err := job.Delete(ctx); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(l.dir, "models")); err != nil {
		return err
	}
	exp, err := l.tracker.Experiment(ctx, experimentName)
	if err != nil {
		return err
	}
	for info, err := range l.tracker.Runs(ctx, tracking.RunQuery{
		Experiments: []tracking.ExperimentID{exp.ID}, Filter: "status = 'RUNNING'",
	}) {
		if err != nil {
			return err
		}
		stale, err := l.tracker.Run(ctx, info.ID)
		if err != nil {
			return err
		}
		l.line("run %s was interrupted: marked killed", info.Name)
		if err := stale.Finish(ctx, tracking.Killed); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) importJanuary(ctx context.Context) error {
	begin := time.Now()
	l.step(1, "dataset", "January 2001 becomes version 1 of %q", datasetName)
	v, isNew, err := l.commit(ctx, 1, day(time.January, 1), firstDay, "January 2001")
	if err != nil {
		return err
	}
	l.january = v
	how := "committed in " + took(begin)
	if !isNew {
		how = "already here from an earlier run"
	}
	l.line("%s rows, %d file of Parquet, %s", count(v.Rows), len(v.Files), how)
	l.line("digest %s, schema %s", short(v.Digest), v.Schema().Fields()[0].Name+", delay, distance, origin, destination")
	table, err := v.Profile(ctx)
	if err != nil {
		return err
	}
	if c := table.Column("distance"); c != nil {
		l.line("profile: distance %.0f to %.0f miles, mean %.0f; origin %d airports, most from %s",
			c.Min(), c.Max(), c.Mean(), table.Column("origin").Distinct(), table.Column("origin").Top(1)[0].Value)
	}
	return nil
}

// commit appends the flights of [from, to) as the n-th version. The number is
// the producer's transaction: a run that was killed after the commit finds it.
func (l *loop) commit(ctx context.Context, n int64, from, to time.Time, message string) (*dataset.Version, bool, error) {
	part := between(l.flights, from, to)
	if len(part) == 0 {
		return nil, false, fmt.Errorf("the data holds no flight from %s to %s", from.Format(time.DateOnly), to.Format(time.DateOnly))
	}
	ds, err := l.catalog.Open(ctx, datasetName)
	if errors.Is(err, dataset.ErrNotFound) {
		ds, err = l.catalog.Create(ctx, datasetName, flightSchema, nil)
	}
	if err != nil {
		return nil, false, err
	}
	before, err := ds.Latest(ctx)
	if err != nil {
		return nil, false, err
	}
	r, err := records(part)
	if err != nil {
		return nil, false, err
	}
	defer r.Release()
	v, err := ds.Append(ctx, r, &dataset.CommitOptions{
		Message: message, App: "quickstart", AppVersion: n, Tags: map[string]string{"source": l.source},
	})
	if err != nil {
		return nil, false, err
	}
	if v.Tags["source"] != l.source {
		return nil, false, fmt.Errorf("folder %s holds the loop of another data file (%s, not %s): choose another folder with -dir",
			l.dir, short(v.Tags["source"]), short(l.source))
	}
	return v, v.Number > before.Number, nil
}

func (l *loop) trainFirst(ctx context.Context) (err error) {
	l.step(2, "train", "a process of its own learns which flights arrive 15 minutes late")
	l.first, err = l.trainOn(ctx, l.january, "baseline", func(s string) { l.line("| %s", s) })
	return err
}

func (l *loop) track(ctx context.Context) error {
	run, err := l.tracker.Run(ctx, l.first.run)
	if err != nil {
		return err
	}
	info, err := run.Info(ctx)
	if err != nil {
		return err
	}
	history, err := run.History(ctx, "loss")
	if err != nil {
		return err
	}
	artifacts := 0
	for _, err := range run.Files().List(ctx, "") {
		if err != nil {
			return err
		}
		artifacts++
	}
	l.step(3, "tracking", "run %s of experiment %q is %s", info.Name, experimentName, info.Status)
	l.line("%d params, %d points of loss, AUC %.4f, %d artifacts", len(info.Params), len(history), l.first.auc, artifacts)
	for _, in := range info.Inputs {
		l.line("input %s version %s, %s", in.Name, in.Version, short(in.Digest))
	}
	return nil
}

func (l *loop) promoteFirst(ctx context.Context) error {
	v := l.first.version
	have, err := l.registry.Alias(ctx, modelName, champion)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	err = l.registry.SetAlias(ctx, modelName, champion, v.Number, &registry.AliasOptions{
		Expect: have, By: "quickstart", Reason: "first model of this pass",
	})
	if err != nil {
		return err
	}
	l.step(4, "registry", "%s version %d, %d files, %s", v.Name, v.Number, len(v.Files), short(v.Digest))
	for _, f := range v.Files {
		l.line("%-13s %8s  sha256:%.12s", f.Path, size(f.Size), f.SHA256)
	}
	from := "nothing"
	if have != 0 {
		from = fmt.Sprintf("version %d", have)
	}
	l.line("alias %q moved from %s to version %d by compare-and-swap", champion, from, v.Number)
	return nil
}

// answer deploys the champion, wires what watches it, and serves on ln.
func (l *loop) answer(ctx context.Context, ln net.Listener) error {
	m, ref, version, err := l.load(ctx, modelName+"@"+champion)
	if err != nil {
		return err
	}
	if l.monitor, err = monitor.New(ref, &monitor.Options{
		Model: modelName, Version: strconv.Itoa(version.Number), OnReport: l.onReport,
	}); err != nil {
		return err
	}
	l.log, err = inferlog.Open(ctx, l.catalog, inferenceLog, logSchema(signature), nil)
	if err != nil {
		return err
	}
	hook, err := servehook.New(l.monitor, &servehook.Options{Output: "late"})
	if err != nil {
		return err
	}
	l.watch = &stopwatch{Observer: hook}
	l.server = serve.New(&serve.Options{Name: "millwright-quickstart", Observers: []serve.Observer{l.watch, recorder{l.log}}})
	if err := l.deploy(ctx, m, version); err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	if err := metrics.Register(promexport.New(l.monitor, nil)); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/v2", l.server)
	mux.Handle("/v2/", l.server)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	l.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	l.serveErr = make(chan error, 1)
	go func() { l.serveErr <- l.http.Serve(ln) }()
	l.baseURL = "http://" + ln.Addr().String()

	if l.client, err = oip.NewClient(l.baseURL, nil); err != nil {
		return err
	}
	meta, err := l.client.ModelMetadata(ctx, modelName, "")
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	l.step(5, "serve", "%s answers the Open Inference Protocol", l.baseURL)
	l.line("model %s version %s, ready: %d inputs, %d output", meta.Name, meta.Versions[0], len(meta.Inputs), len(meta.Outputs))
	return nil
}

// load resolves a reference once and gives the model and its reference
// profile, each file checked against its digest.
func (l *loop) load(ctx context.Context, ref string) (serve.Model, *profile.Reference, *registry.Version, error) {
	version, err := l.registry.Resolve(ctx, ref)
	if err != nil {
		return nil, nil, nil, err
	}
	files, err := l.registry.Open(ctx, version)
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := runtime{}.Load(ctx, files)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("model %s version %d: %w", version.Name, version.Number, err)
	}
	data, err := l.registry.Profile(ctx, version)
	if err != nil {
		return nil, nil, nil, err
	}
	var reference profile.Reference
	if err := json.Unmarshal(data, &reference); err != nil {
		return nil, nil, nil, err
	}
	return m, &reference, version, nil
}

func (l *loop) deploy(ctx context.Context, m serve.Model, v *registry.Version) error {
	return l.server.Deploy(ctx, serve.Deployment{
		Name: modelName, Version: strconv.Itoa(v.Number), Model: m, Platform: "go",
		Labels: map[string]string{"run": v.Run, "dataset": v.Datasets[0].Digest},
	})
}

// stop drains the server, then stores what was observed.
func (l *loop) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return errors.Join(l.http.Shutdown(ctx), l.server.Shutdown(ctx), l.monitor.Shutdown(ctx), l.log.Shutdown(ctx))
}

// summary says what happened and how to look closer.
func (l *loop) summary(cfg config, example string) {
	s := &l.state
	held := "stayed champion"
	if s.retrain.after > s.retrain.before {
		held = fmt.Sprintf("gave way to version %d", s.retrain.version.Number)
	}
	l.title("\nDone in %s: %s requests answered, %d failed.", took(l.start), count(s.traffic.sent-s.traffic.failed), s.traffic.failed)
	l.title("The kilometres came in the week of %s and were raised at its end; version %d %s.",
		weekName(s.raised), l.first.version.Number, held)
	l.title("\nLook closer:")
	program := "go run ./examples/quickstart"
	if cfg.store != "" {
		program = "go run -tags s3 ./examples/quickstart -store " + cfg.store
	}
	l.title("  %s -dir %s -serve", program, cfg.dir)
	l.title("  %s -dir %s -explain %s", program, cfg.dir, example)
	if cfg.store == "" {
		l.title("  python -c 'import deltalake; print(deltalake.DeltaTable(\"%s/store/datasets/flights\", version=1).to_pandas())'", cfg.dir)
	}
	l.title("  sqlite3 %s/millwright.db .tables", cfg.dir)
}
