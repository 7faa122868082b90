package rows

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/judge"
)

// LogOptions say which rows of an inference log are samples. Nil means all
// defaults.
type LogOptions struct {
	// Share of the requests to take, by their ids (judge.Sampled), before their
	// texts are looked at. Default 1.
	Share float64
	// Salt of the choice. Default "".
	Salt string
	// After is the number of the version after which a Follower begins. Default
	// 0: with the first row; -1 is with what is written from now on.
	After int64
	// Request and Answer are the columns of the bodies. Default "in_request" and
	// "out_answer".
	Request, Answer string
}

func (o *LogOptions) withDefaults() (LogOptions, error) {
	var r LogOptions
	if o != nil {
		r = *o
	}
	var f errs.Faults
	f.Check(r.Share >= 0 && r.Share <= 1, "Share is %v", r.Share)
	f.Check(r.After >= -1, "After is %d", r.After)
	if r.Share == 0 {
		r.Share = 1
	}
	if r.Request == "" {
		r.Request = "in_request"
	}
	if r.Answer == "" {
		r.Answer = "out_answer"
	}
	return r, f.Err("options")
}

// Log are the requests of a version of an inference log, as samples.
func Log(ctx context.Context, v *dataset.Version, opts *LogOptions) iter.Seq2[judge.Sample, error] {
	return func(yield func(judge.Sample, error) bool) {
		o, err := opts.withDefaults()
		more := true
		if err == nil {
			err = o.read(ctx, v, nil, nil, func(s judge.Sample) error {
				if more = yield(s, nil); !more {
					return errEnough
				}
				return nil
			})
		}
		if err != nil && more {
			yield(judge.Sample{}, fmt.Errorf("rows: log %q: %w", v.Dataset, err))
		}
	}
}

var errEnough = errors.New("enough")

// read calls put with the samples of some groups, without those whose ids are known.
func (o *LogOptions) read(ctx context.Context, v *dataset.Version, groups []dataset.Group, known map[string]bool, put func(judge.Sample) error) error {
	there := map[string]bool{}
	for _, f := range v.Schema().Fields() {
		there[f.Name] = true
	}
	optional := func(name string) string {
		if there[name] {
			return name
		}
		return ""
	}
	const id, model, version, failed = "request_id", "model", "version", "error"
	operation, finish, response := optional("in_operation"), optional("out_finish"), optional("out_response_id")
	prompt, promptVersion, trace := optional("in_prompt"), optional("in_prompt_version"), optional("in_traceparent")
	var err error
	fault := read(ctx, v, groups, func(get func(name string, row int) string, count int) bool {
		for i := range count {
			name := get(id, i)
			if !judge.Sampled(name, o.Salt, o.Share) || known[name] || get(failed, i) != "" || get(operation, i) == "embeddings" {
				continue
			}
			s := judge.Sample{
				ID: name, Input: Question([]byte(get(o.Request, i))), Output: Answer([]byte(get(o.Answer, i))), Model: get(model, i), Version: get(version, i),
				Prompt: get(prompt, i), ResponseID: get(response, i), Finish: get(finish, i), Trace: get(trace, i),
			}
			if n := get(promptVersion, i); n != "" {
				s.Prompt += "/" + n
			}
			if err = put(s); err != nil {
				return false
			}
		}
		return true
	}, id, model, version, failed, o.Request, o.Answer, operation, finish, response, prompt, promptVersion, trace)
	return errors.Join(err, fault)
}

// Follower goes through an inference log as it grows. It is not safe for concurrent
// use.
type Follower struct {
	data *dataset.Dataset
	opts LogOptions
	at   *dataset.Version // nil before the first.
}

// Follow makes a follower. It starts nothing.
func Follow(ctx context.Context, data *dataset.Dataset, opts *LogOptions) (*Follower, error) {
	o, err := opts.withDefaults()
	f := &Follower{data: data, opts: o}
	switch {
	case err != nil:
	case o.After < 0:
		f.at, err = data.Latest(ctx)
	case o.After > 0:
		f.at, err = data.Version(ctx, o.After)
	}
	if err != nil {
		return nil, fmt.Errorf("rows: follow %q: %w", data.Name(), err)
	}
	return f, nil
}

// Version is the number of the version up to which all rows were put. A program that
// keeps it goes on there, with LogOptions.After.
func (f *Follower) Version() int64 {
	if f.at == nil {
		return 0
	}
	return f.at.Number
}

// Next puts the samples that were written since the last call. Rows that stand in a
// new file only because the log was made compact are not put again. When put returns
// an error Next does, and the next call puts all of these samples again.
func (f *Follower) Next(ctx context.Context, put func(ctx context.Context, s judge.Sample) error) error {
	v, err := f.data.Latest(ctx)
	if err == nil && v.Number != f.Version() {
		err = f.advance(ctx, v, put)
	}
	if err != nil {
		return fmt.Errorf("rows: follow %q behind version %d: %w", f.data.Name(), f.Version(), err)
	}
	return nil
}

func (f *Follower) advance(ctx context.Context, v *dataset.Version, put func(ctx context.Context, s judge.Sample) error) error {
	before := map[string]bool{}
	if f.at != nil {
		for _, file := range f.at.Files {
			before[file.Path] = true
		}
	}
	added := map[int]bool{}
	for i, file := range v.Files {
		added[i] = !before[file.Path]
		delete(before, file.Path)
	}
	groups, err := groupsOf(ctx, v, func(file int) bool { return added[file] })
	if err != nil {
		return err
	}
	if len(groups) > 0 {
		known, err := f.removed(ctx, before)
		if err != nil {
			return err
		}
		if err := f.opts.read(ctx, v, groups, known, func(s judge.Sample) error { return put(ctx, s) }); err != nil {
			return err
		}
	}
	f.at = v
	return nil
}

// removed are the sampled ids in files that are not there any more: they may be in
// others now.
func (f *Follower) removed(ctx context.Context, files map[string]bool) (map[string]bool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	groups, err := groupsOf(ctx, f.at, func(file int) bool { return files[f.at.Files[file].Path] })
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	err = read(ctx, f.at, groups, func(get func(name string, row int) string, count int) bool {
		for i := range count {
			if id := get("request_id", i); judge.Sampled(id, f.opts.Salt, f.opts.Share) {
				known[id] = true
			}
		}
		return true
	}, "request_id")
	return known, err
}

// groupsOf are the groups of some files; never nil.
func groupsOf(ctx context.Context, v *dataset.Version, wanted func(file int) bool) ([]dataset.Group, error) {
	all, err := v.Groups(ctx)
	out := []dataset.Group{}
	for _, g := range all {
		if wanted(g.File) {
			out = append(out, g)
		}
	}
	return out, err
}

// Run calls Next, and again after each pause, until the context ends, and returns
// nil then. An error of Next ends it: what to do about a log that cannot be read is
// the program's decision.
func (f *Follower) Run(ctx context.Context, pause time.Duration, put func(ctx context.Context, s judge.Sample) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := f.Next(ctx, put); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		timer.Reset(pause)
	}
}
