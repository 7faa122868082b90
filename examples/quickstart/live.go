package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/serve"
)

// retraining is the way from an alarm to a promotion. It runs beside the
// traffic; its fields are read only after done is closed.
type retraining struct {
	done     chan struct{}
	err      error
	version  *registry.Version
	promoted *profile.Reference // of the new champion; nil when the old one stays
	before   float64            // AUC of the champion on held-out recent flights
	after    float64            // of the challenger, on the same flights
}

// liveState is what the replay and the monitor's callback share. The callback
// runs inside Cut, so all of it belongs to one goroutine.
type liveState struct {
	traffic  *traffic
	weeks    [][]flight
	week     int
	raised   int // the week of the alarm, -1 before it
	retrain  *retraining
	previous []answered
	window   int    // of previous
	auc      string // of the week before, for the line of this one
	example  string
}

// live replays the weeks. It returns the id of a request from the week of the
// incident, for the lineage.
func (l *loop) live(ctx context.Context) (string, error) {
	s := &l.state
	ctx, cancel := context.WithCancel(ctx)
	l.ctx = ctx
	defer func() { // whatever ends the replay ends the retraining, and its run
		cancel()
		if s.retrain != nil {
			<-s.retrain.done
		}
	}()
	s.raised = -1
	s.weeks = weeks(l.flights, firstDay, liveWeeks)
	s.traffic = &traffic{client: l.client, feed: newFeed(), pace: l.pace}
	l.step(6, "monitor", "%d weeks of real flights as live traffic, %d rows a request", len(s.weeks), rowsPerRequest)
	l.line("%-8s %7s  %-12s %6s %6s %9s  %-7s %s", "week of", "rows", "worst", "score", "floor", "p-value", "verdict", "labels of the week before: AUC")
	for s.week = range s.weeks {
		if s.retrain != nil && closed(s.retrain.done) && s.retrain.err != nil {
			return "", s.retrain.err
		}
		if err := l.liveWeek(ctx); err != nil {
			return "", err
		}
	}
	label(l.monitor, s.previous)
	if rows := l.watch.rows.Load(); rows > 0 {
		l.line("%s rows observed, %d ns a row", count(rows), l.watch.nanoseconds.Load()/rows)
	}
	if s.retrain == nil {
		return "", fmt.Errorf("the incident of %s was not raised by the monitor", firstDay.AddDate(0, 0, 7*incident).Format("2 January"))
	}
	select {
	case <-s.retrain.done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return s.example, s.retrain.err
}

func (l *loop) liveWeek(ctx context.Context) error {
	s := &l.state
	if s.week == incident {
		s.traffic.feed.unit[0] = kilometres
	}
	if s.retrain != nil && closed(s.retrain.done) && s.retrain.promoted != nil {
		// The server swapped in mid-week; the windows follow at the boundary,
		// so that none compares rows with two references.
		if err := l.monitor.Reset(s.retrain.promoted, fmt.Sprint(s.retrain.version.Number)); err != nil {
			return err
		}
		s.retrain.promoted = nil
	}
	sent, err := s.traffic.week(ctx, s.weeks[s.week])
	if err != nil {
		return err
	}
	if s.week == incident {
		s.example = sent[0].id
	}
	s.auc = ""
	if s.previous != nil {
		label(l.monitor, s.previous)
		perf, err := l.monitor.Performance(s.window)
		if err != nil {
			return err
		}
		s.auc = fmt.Sprintf("%s %.3f, %.0f %% labelled", weekName(s.week-1), perf.AUC, 100*perf.Coverage)
	}
	report, err := l.monitor.Cut(ctx) // calls l.onReport
	if err != nil {
		return err
	}
	s.previous, s.window = sent, report.Window
	return nil
}

func weekName(week int) string { return firstDay.AddDate(0, 0, 7*week).Format("02 Jan") }

// stopwatch times what the monitor adds to the requests.
type stopwatch struct {
	serve.Observer
	rows, nanoseconds atomic.Int64
}

func (w *stopwatch) Observe(ex *serve.Exchange) {
	begin := time.Now()
	w.Observer.Observe(ex)
	if ex.Err == nil {
		w.nanoseconds.Add(time.Since(begin).Nanoseconds())
		w.rows.Add(int64(ex.Response.Outputs[0].Len()))
	}
}

// onReport is the application's decision: the library reports, the caller
// acts. The first drift starts one retraining; later ones find it open.
func (l *loop) onReport(r monitor.Report) {
	s := &l.state
	worst := r.Worst()
	l.line("%-8s %7s  %-12s %6.3f %6.3f %9.2g  %-7s %s", weekName(s.week), count(r.Rows),
		worst.Name, worst.Score, worst.Floor, worst.PValue, r.Verdict, s.auc)
	if r.Verdict != monitor.Drift || s.retrain != nil {
		return
	}
	s.raised = s.week
	factors := s.traffic.feed.fix(l.flights[:len(between(l.flights, day(time.January, 1), firstDay))], s.weeks[s.week])
	l.step(7, "the loop", "ALARM: %s drifted, its mean is %.4g instead of %.4g", worst.Name, worst.Mean, worst.RefMean)
	for g, name := range []string{"airports A to D", "all other airports"} {
		if f := factors[g]; f < 0.99 || f > 1.01 {
			l.line("the gateway of the %s sends distance x %.4f, as kilometres would be: repaired", name, f)
		}
	}
	// The labels of the week before have arrived, so all days up to then are
	// complete examples.
	until := firstDay.AddDate(0, 0, 7*s.week)
	s.retrain = &retraining{done: make(chan struct{})}
	go func() {
		defer close(s.retrain.done)
		s.retrain.err = l.retrain(l.ctx, until, s.retrain)
	}()
}

// pace slows the traffic while a retraining is under way, so that the swap
// meets live requests; in the last weeks it all but waits for it.
func (l *loop) pace(ctx context.Context) {
	s := &l.state
	if s.retrain == nil || closed(s.retrain.done) {
		return
	}
	pause := 2 * time.Millisecond
	if s.week >= liveWeeks-3 {
		pause = 20 * time.Millisecond
	}
	select {
	case <-time.After(pause):
	case <-s.retrain.done:
	case <-ctx.Done():
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// retrain commits the labelled months, trains on them, and promotes the
// challenger if it ranks recent held-out flights better than the champion.
func (l *loop) retrain(ctx context.Context, until time.Time, out *retraining) error {
	last := until.AddDate(0, 0, -1).Format("2 January")
	v, isNew, err := l.commit(ctx, 2, firstDay, until, "1 February to "+last)
	if err != nil {
		return err
	}
	how := "committed"
	if !isNew {
		how = "already here"
	}
	l.line("| 1 February to %s %s as version %d: %s rows in all, %s", last, how, v.Number, count(v.Rows), short(v.Digest))
	t, err := l.trainOn(ctx, v, "retrain", func(s string) { l.line("| %s", s) })
	if err != nil {
		return err
	}
	out.version = t.version

	old, _, oldVersion, err := l.load(ctx, modelName+"@"+champion)
	if err != nil {
		return err
	}
	challenger, reference, _, err := l.load(ctx, fmt.Sprintf("%s/%d", modelName, t.version.Number))
	if err != nil {
		return err
	}
	_, recent := split(between(l.flights, until.AddDate(0, 0, -28), until))
	if out.before, err = rank(old.(*model).learner, recent); err != nil {
		return err
	}
	if out.after, err = rank(challenger.(*model).learner, recent); err != nil {
		return err
	}
	l.line("| on %s held-out flights of the last four weeks: champion AUC %.4f, challenger AUC %.4f",
		count(len(recent)), out.before, out.after)
	if out.after <= out.before {
		l.line("| the challenger is not better: version %d stays", oldVersion.Number)
		return nil
	}
	return l.promote(ctx, oldVersion, t.version, challenger, reference, out)
}

func (l *loop) promote(ctx context.Context, from, to *registry.Version, m serve.Model, reference *profile.Reference, out *retraining) error {
	err := l.registry.SetAlias(ctx, modelName, champion, to.Number, &registry.AliasOptions{
		Expect: from.Number, By: "quickstart",
		Reason: fmt.Sprintf("AUC %.4f against %.4f on held-out recent flights", out.after, out.before),
	})
	if err != nil {
		return err
	}
	if err := l.deploy(ctx, m, to); err != nil {
		return err
	}
	out.promoted = reference
	l.line("| promoted: version %d is %s, and the server answers with it from now on", to.Number, champion)
	return nil
}
