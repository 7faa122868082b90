package main

import (
	"context"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// view is a job as the API shows it.
type view struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Team     string            `json:"team,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Status   train.Status      `json:"status"`
	Why      string            `json:"why,omitempty"`
	Progress *progressView     `json:"progress,omitempty"`
}

type progressView struct {
	Time       time.Time            `json:"time"`
	Attempt    int                  `json:"attempt"`
	Step       int64                `json:"step"`
	Total      int64                `json:"total,omitempty"`
	Left       string               `json:"left,omitempty"`
	Metrics    map[string]float64   `json:"metrics,omitempty"`
	Checkpoint *train.CheckpointRef `json:"checkpoint,omitempty"`
}

// brief is what one question to the engine says of a job.
func brief(ctx context.Context, job train.Job) (view, error) {
	status, err := job.Status(ctx)
	spec := job.Spec()
	return view{ID: job.ID(), Name: spec.Name, Team: spec.Team, Labels: spec.Labels, Status: status}, err
}

// look adds progress, and why for a job that does not run as it should.
func look(ctx context.Context, job train.Job) (view, error) {
	v, err := brief(ctx, job)
	if err != nil {
		return v, err
	}
	p, err := job.Progress(ctx)
	if err != nil {
		return v, err
	}
	if !p.Time.IsZero() {
		v.Progress = &progressView{
			Time: p.Time, Attempt: p.Attempt, Step: p.Step, Total: p.Total, Metrics: p.Metrics, Checkpoint: p.Checkpoint,
		}
		if left, ok := p.ETA(v.Status.Started); ok && v.Status.Phase == train.Running {
			v.Progress.Left = left.Round(time.Second).String()
		}
	}
	if v.Status.Phase != train.Running && v.Status.Phase != train.Succeeded {
		why, err := job.Why(ctx)
		if err != nil {
			return v, err
		}
		v.Why = why.Text
	}
	return v, nil
}

type whyView struct {
	Text     string        `json:"text"`
	Findings []findingView `json:"findings,omitempty"`
}

type findingView struct {
	Kind   train.Cause `json:"kind"`
	Text   string      `json:"text"`
	Object string      `json:"object,omitempty"`
	Since  time.Time   `json:"since,omitzero"`
}

func showWhy(w train.Why) whyView {
	out := whyView{Text: w.Text}
	for _, f := range w.Findings {
		out.Findings = append(out.Findings, findingView{f.Kind, f.Text, f.Object, f.Since})
	}
	return out
}

type usageView struct {
	Team     string     `json:"team,omitempty"`
	Jobs     int        `json:"jobs,omitempty"`
	Items    []itemView `json:"items"`
	Cost     float64    `json:"cost"`
	Currency string     `json:"currency,omitempty"`
	Open     bool       `json:"open"` // it still grows
}

type itemView struct {
	GPU     string        `json:"gpu,omitempty"`
	Spot    bool          `json:"spot,omitempty"`
	Outcome train.Outcome `json:"outcome"`
	GPUs    float64       `json:"gpuSeconds"`
	CPU     float64       `json:"cpuSeconds"`
	Memory  float64       `json:"gibSeconds"`
	Cost    float64       `json:"cost"`
}

func showItems(items []train.UsageItem) []itemView {
	out := []itemView{}
	for _, i := range items {
		out = append(out, itemView{i.GPU, i.Spot, i.Outcome, i.GPUs, i.CPU, i.Memory, i.Cost})
	}
	return out
}

func showUsage(u train.Usage) usageView {
	return usageView{Team: u.Team, Items: showItems(u.Items), Cost: u.Cost(), Currency: u.Currency, Open: u.Open}
}

func showStatements(list []train.Statement) []usageView {
	out := []usageView{}
	for _, s := range list {
		out = append(out, usageView{Team: s.Team, Jobs: s.Jobs, Items: showItems(s.Items), Cost: s.Cost, Currency: s.Currency, Open: s.Open})
	}
	return out
}

type eventView struct {
	Time    time.Time `json:"time"`
	Object  string    `json:"object"`
	Reason  string    `json:"reason"`
	Text    string    `json:"text"`
	Warning bool      `json:"warning,omitempty"`
	Count   int       `json:"count"`
}

func showEvent(e train.Event) eventView {
	return eventView{e.Time, e.Object, e.Reason, e.Text, e.Warning, e.Count}
}
