package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/ecs"
	"github.com/millwright-ml/millwright/monitor/report"
)

const (
	weeks  = 9
	weekly = 4000 // applications
	batch  = 100  // of them in a request
)

// asked is one request that was answered, for the labels that come later.
type asked struct {
	id   string
	list []application
}

// run is the whole program after the flags.
func run(ctx context.Context, cfg config, out io.Writer) (err error) {
	// Before any work: a port in use should not cost a training.
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.addr)
	if err != nil {
		return fmt.Errorf("address %s cannot be served on: choose one with -addr: %w", cfg.addr, err)
	}
	defer func() { _ = ln.Close() }() // By then the server has closed it, in the good case.
	s, err := open(ctx, cfg.dir, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	s.say("Loans: a service that watches its model, in %s\n", cfg.dir)
	s.say("1  a first model, trained on the applications of week 0")
	first, err := s.train(ctx, "first", applications(0, weekly))
	if err != nil {
		return err
	}
	if err := s.promote(ctx, first, nil, "the first"); err != nil {
		return err
	}
	var pending *monitor.Trigger
	stop, err := s.start(ctx, ln, cfg, func(r monitor.Report) {
		s.reports.Add(r)
		s.logger.LogAttrs(ctx, ecs.Level(r), r.String(), ecs.Event(r)...)
		if err := s.alerts.Send(ctx, r); err != nil {
			s.say("    %v", err)
		}
		if r.Trigger != nil && r.Trigger.New {
			pending = r.Trigger
		}
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(context.WithoutCancel(ctx))) }()
	if err := operations(s.dir, ln.Addr().String()); err != nil {
		return err
	}
	s.say("\n2  served at %s, with /metrics, /report and the Open Inference Protocol at /v2", s.url)
	s.say("\n3  weeks of traffic, %d applications each; labels come a week later", weekly)
	s.say("   %-5s %-8s %-9s %-28s %-9s %s", "week", "version", "verdict", "worst feature", "state", "AUC of the labels")

	var before []asked
	for week := 1; week <= weeks; week++ {
		sent, r, err := s.week(ctx, week, before)
		if err != nil {
			return err
		}
		if pending != nil {
			s.explain(pending, r)
			// Labels of this week are not there yet, in life: the program would
			// wait for them here. Every second application is kept to judge by.
			fitting, recent := split(week)
			if err := s.answer(ctx, pending.Key, fitting, recent); err != nil {
				return err
			}
			pending = nil
			s.say("")
		}
		before = sent
	}
	if err := s.summary(ctx, cfg); err != nil || !cfg.serve {
		return err
	}
	s.say("\nGoing on with traffic until Ctrl-C; Prometheus: %s", filepath.Join(cfg.dir, "operations", "prometheus.yml"))
	return s.goOn(ctx)
}

// week sends a week of traffic, brings the labels of the one before, and closes
// the window.
func (s *service) week(ctx context.Context, week int, before []asked) ([]asked, *monitor.Report, error) {
	var sent []asked
	for part := range slices.Chunk(applications(week, weekly), batch) {
		resp, err := s.client.Infer(ctx, modelName, "", request(part))
		if err != nil {
			return nil, nil, err
		}
		sent = append(sent, asked{resp.ID, part})
	}
	s.label(before)
	r, err := s.monitor.Cut(ctx)
	if err != nil {
		return nil, nil, err
	}
	auc := "none yet"
	if before != nil {
		p, err := s.monitor.Performance(r.Window - 1)
		if err != nil {
			return nil, nil, err
		}
		auc = fmt.Sprintf("%.3f in week %d", p.AUC, week-1)
	}
	w := r.Worst()
	s.say("   %-5d %-8s %-9s %-28s %-9s %s", week, r.Version, r.Verdict, fmt.Sprintf("%s, %.1f times its limit", w.Name, w.Severity), r.State, auc)
	return sent, &r, nil
}

func (s *service) label(list []asked) {
	for _, a := range list {
		for row, application := range a.list {
			y := 0.0
			if application.Default {
				y = 1
			}
			s.monitor.Label(monitor.NewID(a.id, row), y)
		}
	}
}

// split takes the applications of a week apart: to fit a model on, and to judge
// it by.
func split(week int) (fitting, recent []application) {
	for i, a := range applications(week, weekly) {
		if i%2 == 0 {
			fitting = append(fitting, a)
		} else {
			recent = append(recent, a)
		}
	}
	return fitting, recent
}

func (s *service) explain(t *monitor.Trigger, r *monitor.Report) {
	s.say("\n4  a trigger: %s", t.Key)
	for _, cause := range t.Causes {
		s.say("    %s", cause)
	}
	for _, e := range r.Estimated {
		if e.Metric == "auc" {
			s.say("    before any label has come, the AUC is expected to be %.3f instead of %.3f", e.Value, e.Reference)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hooked) > 0 {
		s.say("    the webhook was told: %s", s.hooked[len(s.hooked)-1])
	}
}

// logged waits until the inference log has written so many rows. The monitor hands
// them on behind its counting, so the last of them are on their way.
func (s *service) logged(ctx context.Context, rows uint64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.log.Flush(ctx); err != nil {
			return err
		}
		if stats := s.log.Stats(); stats.Observed >= rows && stats.Pending == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// summary writes the report as a file, and says where everything is.
func (s *service) summary(ctx context.Context, cfg config) error {
	if err := s.logged(ctx, weeks*weekly); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(s.dir, "report.html"))
	if err != nil {
		return err
	}
	page, _ := s.reports.Page()
	page.Fairness = s.monitor.Fairness()
	if err := errors.Join(report.WriteHTML(file, page), file.Close()); err != nil {
		return err
	}
	head, err := s.registry.VerifyAudit(ctx)
	if err != nil {
		return err
	}
	stats, results := s.log.Stats(), s.results()
	s.say("\nDone: %d triggers promoted a version, %d were refused; the audit log is whole, %d entries.", results["promoted"], results["refused"], head.Seq)
	s.mu.Lock()
	s.say("The webhook was told: %s.", strings.Join(s.hooked, "; "))
	s.mu.Unlock()
	s.say("The inference log: %d rows observed, %d written, %d dropped.", stats.Observed, stats.Written, stats.Dropped)
	for _, f := range [][2]string{
		{"report.html", "what the monitor has found, for people"}, {"monitor.log", "the same for the Elastic stack"},
		{"operations", "rules and dashboard for Prometheus and Grafana, objects for their operator"}, {"store", "the inference log, a Delta table, and the models"},
	} {
		s.say("  %-32s %s", filepath.Join(cfg.dir, f[0]), f[1])
	}
	return nil
}

// goOn keeps the service busy, with a window every ten seconds.
func (s *service) goOn(ctx context.Context) error {
	window, traffic := time.NewTicker(10*time.Second), time.NewTicker(100*time.Millisecond)
	defer window.Stop()
	defer traffic.Stop()
	for week, at := weeks, 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-traffic.C:
			list := applications(week, weekly)[at : at+batch]
			if at += batch; at == weekly {
				week, at = week+1, 0
			}
			resp, err := s.client.Infer(ctx, modelName, "", request(list))
			if err != nil {
				return err
			}
			s.label([]asked{{resp.ID, list}})
		case <-window.C:
			if _, err := s.monitor.Cut(ctx); err != nil {
				return err
			}
		}
	}
}
