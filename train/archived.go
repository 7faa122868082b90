package train

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// archived is the handle on a job that only the archive has. It never changes.
type archived struct {
	a   *Archive
	rec archivedJob
}

var _ Job = (*archived)(nil)

func (j *archived) ID() string                                 { return j.rec.ID }
func (j *archived) Spec() Spec                                 { return j.rec.Spec }
func (j *archived) Status(context.Context) (Status, error)     { return j.rec.Status, nil }
func (j *archived) Why(context.Context) (Why, error)           { return j.rec.Why, nil }
func (j *archived) Progress(context.Context) (Progress, error) { return j.rec.Progress, nil }
func (j *archived) Usage(context.Context) (Usage, error)       { return j.rec.Usage, nil }
func (j *archived) Cancel(context.Context) error               { return nil }

func (j *archived) Wait(context.Context) (*Result, error) {
	result := j.rec.Result
	return &result, j.rec.Ending.Err(j.rec.ID)
}

func (j *archived) Suspend(context.Context) error {
	return fmt.Errorf("train: suspend %q: it has ended: %w", j.rec.ID, ErrConflict)
}

func (j *archived) Resume(context.Context, *ResumeOptions) error {
	return fmt.Errorf("train: resume %q: it has ended: %w", j.rec.ID, ErrConflict)
}

func (j *archived) Events(context.Context, *EventOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for _, e := range j.rec.Events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Delete removes the record first: a job without one is not in the archive.
func (j *archived) Delete(ctx context.Context) error {
	if _, err := j.a.Attach(ctx, j.rec.ID); err != nil {
		return err
	}
	for _, name := range []string{archivedRecord, archivedLog} {
		if err := j.a.store.Delete(ctx, j.a.key(j.rec.ID, name)); err != nil {
			return fmt.Errorf("train: delete archived job %q: %w", j.rec.ID, err)
		}
	}
	return nil
}

func (j *archived) Logs(ctx context.Context, opts *LogOptions) iter.Seq2[Line, error] {
	if opts == nil {
		opts = &LogOptions{}
	}
	return func(yield func(Line, error) bool) {
		if err := j.readLog(ctx, opts, func(l Line) bool { return yield(l, nil) }); err != nil {
			yield(Line{}, fmt.Errorf("train: logs of archived job %q: %w", j.rec.ID, err))
		}
	}
}

func (j *archived) readLog(ctx context.Context, opts *LogOptions, yield func(Line) bool) error {
	after, err := ParseCursor(opts.After)
	if err != nil {
		return err
	}
	body, err := j.a.store.Get(ctx, j.a.key(j.rec.ID, archivedLog), 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	zip, err := gzip.NewReader(body)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bufio.NewReader(zip))
	var last []Line
	for {
		var kept archivedLine
		err := dec.Decode(&kept)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		l := kept.Line
		if kept.Raw != nil {
			l.Text = string(kept.Raw)
		}
		if (opts.Rank != nil && l.Rank != *opts.Rank) || l.Time.Before(opts.Since) || after.Covers(l) {
			continue
		}
		if opts.Tail > 0 {
			last = KeepTail(last, l, opts.Tail)
		} else if !yield(l) {
			return nil
		}
	}
	for _, l := range last[max(0, len(last)-max(0, opts.Tail)):] {
		if !yield(l) {
			return nil
		}
	}
	return nil
}

// KeepTail appends a line to the last ones that were read, of which n are
// wanted, and drops old ones now and then: the last n of what it returns count.
func KeepTail(last []Line, l Line, n int) []Line {
	if len(last) >= 2*n {
		last = append(last[:0], last[len(last)-n+1:]...)
	}
	return append(last, l)
}
