// Command drift-retrain is a service that watches its own model: it answers
// requests, notices that the world has changed, has a new model trained, holds
// it against the old one, rolls it out, and shows all of it to Prometheus and
// Grafana. It runs with nothing installed but Go, on data that it makes itself,
// and ends in some seconds.
//
// It is a template: data.go and model.go are this program's own, the rest is the
// public API, wired by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/monitor/grafana"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := realMain(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// config is what the flags say.
type config struct {
	dir, addr string
	serve     bool
	webhook   string
}

// realMain returns the exit status: 0 well, 1 failed, 2 wrong usage.
func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "train" {
		if err := trainMain(args[1:], stdout); err != nil {
			fmt.Fprintln(stderr, "train:", err)
			return 1
		}
		return 0
	}
	var cfg config
	flags := flag.NewFlagSet("drift-retrain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.dir, "dir", "millwright-drift", "folder for all that is kept; it is made, and must not hold an earlier run")
	flags.StringVar(&cfg.addr, "addr", "127.0.0.1:0", "address to serve on; port 0 lets the system choose")
	flags.BoolVar(&cfg.serve, "serve", false, "go on with traffic afterwards until interrupted, for Prometheus and Grafana to look at")
	flags.StringVar(&cfg.webhook, "webhook", "", "URL that is told of triggers, as Alertmanager tells its webhooks; default: this program's own")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "drift-retrain: unexpected argument %q: all settings are flags, see -h\n", flags.Arg(0))
		return 2
	}
	if err := run(ctx, cfg, stdout); err != nil {
		fmt.Fprintln(stderr, "drift-retrain:", err)
		return 1
	}
	return 0
}

// operations writes what Prometheus and Grafana need. The limits are this
// model's: below an AUC of 0.65 it is not worth asking.
func operations(dir, target string) error {
	opts := &grafana.Options{
		Title: "Loans", Limits: map[string]float64{"auc": 0.65}, Labels: map[string]string{"team": "risk"},
		Interval: 5 * time.Second, For: 15 * time.Second, Ranges: []string{"5m", "1h"},
	}
	config := "# prometheus --config.file=prometheus.yml\nglobal:\n  scrape_interval: 5s\n  evaluation_interval: 5s\nrule_files: [rules.yml]\n" +
		"scrape_configs:\n  - job_name: loans\n    static_configs:\n      - targets: [\"" + target + "\"]\n"
	files := map[string]func() ([]byte, error){
		"prometheus.yml":     func() ([]byte, error) { return []byte(config), nil },
		"rules.yml":          func() ([]byte, error) { return grafana.RuleFile(opts) },
		"dashboard.json":     func() ([]byte, error) { return grafana.Dashboard(opts) },
		"prometheusrule.yml": func() ([]byte, error) { return grafana.PrometheusRule(opts) },
		"servicemonitor.yml": func() ([]byte, error) { return grafana.ServiceMonitor(opts) },
	}
	if err := os.MkdirAll(filepath.Join(dir, "operations"), 0o755); err != nil {
		return err
	}
	for name, make := range files {
		data, err := make()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "operations", name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
