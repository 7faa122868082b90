package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

const (
	maxBody = 1 << 20
	maxKey  = 200
	maxList = 1000
)

// service is the HTTP API over a launcher.
type service struct {
	launcher train.Launcher
	users    []user
	rules    rules
	log      *slog.Logger
}

type (
	handlerFunc func(w http.ResponseWriter, r *http.Request, u user) error
	jobFunc     func(w http.ResponseWriter, r *http.Request, job train.Job) error
)

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.Handle("POST /jobs", s.with(s.submit))
	mux.Handle("POST /plan", s.with(s.plan))
	mux.Handle("GET /jobs", s.with(s.list))
	mux.Handle("GET /usage", s.with(s.bill))
	mux.Handle("GET /jobs/{id}", s.withJob(s.show))
	mux.Handle("GET /jobs/{id}/why", s.withJob(s.why))
	mux.Handle("GET /jobs/{id}/logs", s.withJob(s.logs))
	mux.Handle("GET /jobs/{id}/events", s.withJob(s.events))
	mux.Handle("GET /jobs/{id}/usage", s.withJob(s.usage))
	mux.Handle("POST /jobs/{id}/suspend", s.withJob(s.act(train.Job.Suspend)))
	mux.Handle("POST /jobs/{id}/resume", s.withJob(s.act(func(j train.Job, ctx context.Context) error { return j.Resume(ctx, nil) })))
	mux.Handle("POST /jobs/{id}/cancel", s.withJob(s.act(train.Job.Cancel)))
	mux.Handle("DELETE /jobs/{id}", s.withJob(s.remove))
	// A page elsewhere must not submit jobs through its reader's browser.
	return http.NewCrossOriginProtection().Handler(mux)
}

// with finds the user, bounds the body and answers errors.
func (s *service) with(h handlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		u, err := s.who(r)
		if err == nil {
			err = h(w, r, u)
		}
		if err != nil && r.Context().Err() == nil {
			s.fail(w, r, err)
		}
	})
}

// withJob is with, for a job that the user may see. Others are not found.
func (s *service) withJob(h jobFunc) http.Handler {
	return s.with(func(w http.ResponseWriter, r *http.Request, u user) error {
		job, err := s.launcher.Attach(r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		if !u.may(job) {
			return train.ErrNotFound
		}
		return h(w, r, job)
	})
}

func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	code := http.StatusInternalServerError
	for _, known := range []struct {
		err  error
		code int
	}{
		{errUnauthenticated, http.StatusUnauthorized},
		{errSyntax, http.StatusBadRequest},
		{train.ErrInvalid, http.StatusUnprocessableEntity},
		{train.ErrNotFound, http.StatusNotFound},
		{train.ErrConflict, http.StatusConflict},
		{train.ErrUnsupported, http.StatusNotImplemented},
		{train.ErrUnavailable, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, known.err) {
			code = known.code
			break
		}
	}
	text := err.Error()
	switch {
	case errors.As(err, &tooLarge):
		code = http.StatusRequestEntityTooLarge
	case code == http.StatusInternalServerError:
		// What is not of the user's making may hold what is not for his eyes.
		s.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		text = "something failed here, and the service's log says what"
	}
	answer(w, code, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client went away
}

var errSyntax = errors.New("bad request")

// request reads a spec and its key and applies the rules.
func (s *service) request(r *http.Request, u user) (train.Spec, string, error) {
	var spec train.Spec
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxKey {
		return spec, "", errors.Join(errSyntax, errors.New("Idempotency-Key is longer than 200 bytes"))
	}
	if key != "" {
		key = u.team + "/" + key // teams do not meet each other's keys
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&spec); err != nil {
		return spec, "", errors.Join(errSyntax, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return spec, "", errors.Join(errSyntax, errors.New("more than one JSON value"))
	}
	if err := s.rules.admit(u, key, &spec); err != nil {
		return spec, "", err
	}
	return spec, key, spec.Validate()
}

func (s *service) submit(w http.ResponseWriter, r *http.Request, u user) error {
	spec, key, err := s.request(r, u)
	if err != nil {
		return err
	}
	job, err := s.launcher.Submit(r.Context(), spec, &train.SubmitOptions{Key: key})
	if err != nil {
		return err
	}
	view, err := look(r.Context(), job)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/jobs/"+job.ID())
	answer(w, http.StatusCreated, view)
	return nil
}

func (s *service) plan(w http.ResponseWriter, r *http.Request, u user) error {
	spec, key, err := s.request(r, u)
	if err != nil {
		return err
	}
	plan, err := s.launcher.Plan(r.Context(), spec, &train.SubmitOptions{Key: key})
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, plan)
	return nil
}

// list shows the newest jobs that the user may see, without their progress.
func (s *service) list(w http.ResponseWriter, r *http.Request, u user) error {
	o := &train.ListOptions{Team: r.URL.Query().Get("team"), Active: r.URL.Query().Has("active"), Labels: map[string]string{}}
	for _, l := range r.URL.Query()["label"] {
		key, value, _ := strings.Cut(l, "=")
		o.Labels[key] = value
	}
	if !u.admin {
		o.Team = u.team
	}
	views := []view{}
	var faults []string
	for job, err := range s.launcher.List(r.Context(), o) {
		var v view
		if err == nil {
			v, err = brief(r.Context(), job)
		}
		if err != nil {
			if u.admin {
				faults = append(faults, err.Error())
			}
			continue
		}
		if views = append(views, v); len(views) > 2*maxList {
			views = append(views[:0], views[len(views)-maxList:]...)
		}
	}
	if len(views) > maxList {
		views = views[len(views)-maxList:]
	}
	answer(w, http.StatusOK, map[string]any{"jobs": views, "errors": faults})
	return nil
}

func (s *service) show(w http.ResponseWriter, r *http.Request, job train.Job) error {
	v, err := look(r.Context(), job)
	if err == nil {
		answer(w, http.StatusOK, v)
	}
	return err
}

func (s *service) why(w http.ResponseWriter, r *http.Request, job train.Job) error {
	why, err := job.Why(r.Context())
	if err == nil {
		answer(w, http.StatusOK, showWhy(why))
	}
	return err
}

func (s *service) usage(w http.ResponseWriter, r *http.Request, job train.Job) error {
	u, err := job.Usage(r.Context())
	if err == nil {
		answer(w, http.StatusOK, showUsage(u))
	}
	return err
}

// bill sums the usage up by team.
func (s *service) bill(w http.ResponseWriter, r *http.Request, u user) error {
	o := &train.ListOptions{}
	if !u.admin {
		o.Team = u.team
	}
	var failed error
	statements := train.Bill(func(yield func(train.Usage) bool) {
		for job, err := range s.launcher.List(r.Context(), o) {
			if err != nil {
				failed = err
				continue
			}
			usage, err := job.Usage(r.Context())
			if err != nil {
				failed = err
				continue
			}
			if !yield(usage) {
				return
			}
		}
	})
	out := map[string]any{"teams": showStatements(statements), "complete": failed == nil}
	answer(w, http.StatusOK, out)
	return nil
}

// act is a change of a job, which answers with how it stands then. It may take
// as long as the job has to write its checkpoint.
func (s *service) act(do func(train.Job, context.Context) error) jobFunc {
	return func(w http.ResponseWriter, r *http.Request, job train.Job) error {
		if err := do(job, r.Context()); err != nil {
			return err
		}
		return s.show(w, r, job)
	}
}

func (s *service) remove(w http.ResponseWriter, r *http.Request, job train.Job) error {
	if err := job.Delete(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logOptions reads follow, rank, tail, since and after; a reader that comes back
// says in Last-Event-ID which line it has.
func logOptions(r *http.Request) (*train.LogOptions, error) {
	q := r.URL.Query()
	o := &train.LogOptions{Follow: q.Has("follow"), After: q.Get("after")}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		o.After = id
	}
	var err error
	if text := q.Get("rank"); text != "" {
		rank, e := strconv.Atoi(text)
		o.Rank, err = &rank, errors.Join(err, e)
	}
	if text := q.Get("tail"); text != "" {
		var e error
		o.Tail, e = strconv.Atoi(text)
		err = errors.Join(err, e)
	}
	if text := q.Get("since"); text != "" {
		var e error
		o.Since, e = time.Parse(time.RFC3339, text)
		err = errors.Join(err, e)
	}
	if err != nil {
		err = errors.Join(errSyntax, err)
	}
	return o, err
}
