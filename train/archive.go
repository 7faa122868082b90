package train

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"unicode/utf8"
)

// ArchiveStore is where an Archive keeps its files: any store of artifacts or
// blobs that has these methods, as tracking.Artifacts.
type ArchiveStore interface {
	// Put writes key, replacing what was there. size -1 is unknown.
	Put(ctx context.Context, key string, body io.Reader, size int64) error
	// Get opens n bytes from off, n < 0 is to the end; fs.ErrNotExist when there
	// are none.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// List yields the keys with the prefix; Name of the FileInfo is the key.
	List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error]
	// Delete removes key; an absent one is no error.
	Delete(ctx context.Context, key string) error
}

// Archive keeps ended jobs with their logs, so that they outlive the engine's
// cleanup. Launchers put jobs into it and attach to them from it. It is plain:
// there is nothing to close.
type Archive struct {
	store  ArchiveStore
	prefix string
}

// ArchiveOptions changes an Archive. nil is the zero value.
type ArchiveOptions struct {
	// Prefix is what the keys begin with. Default "": "jobs".
	Prefix string
}

// NewArchive returns an archive in the store.
func NewArchive(store ArchiveStore, opts *ArchiveOptions) *Archive {
	a := &Archive{store: store, prefix: "jobs"}
	if opts != nil && opts.Prefix != "" {
		a.prefix = strings.Trim(opts.Prefix, "/")
	}
	return a
}

const (
	archiveFormat     = 1
	maxArchivedRecord = 16 << 20
	archivedRecord    = "job.json"
	archivedLog       = "log.jsonl.gz"
)

// archivedJob is what the archive has of a job beside its log.
type archivedJob struct {
	Format   int      `json:"format"`
	ID       string   `json:"id"`
	Spec     Spec     `json:"spec"`
	Status   Status   `json:"status"`
	Result   Result   `json:"result"`
	Ending   Ending   `json:"ending"`
	Why      Why      `json:"why"`
	Events   []Event  `json:"events,omitempty"`
	Progress Progress `json:"progress"`
	Usage    Usage    `json:"usage"`
}

// archivedLine is a Line; Raw is its text when that is not valid UTF-8.
type archivedLine struct {
	Line
	Raw []byte `json:"raw,omitempty"`
}

func (a *Archive) key(id, name string) string { return path.Join(a.prefix, id, name) }

// Keep writes an ended job to the archive; ErrConflict when it has not ended. It
// may be repeated, and a later job with the same id replaces an earlier one.
func (a *Archive) Keep(ctx context.Context, job Job) error {
	fail := func(err error) error { return fmt.Errorf("train: archive job %q: %w", job.ID(), err) }
	st, err := job.Status(ctx)
	if err != nil {
		return fail(err)
	}
	if !st.Phase.Ended() {
		return fail(fmt.Errorf("it is %s: %w", st.Phase, ErrConflict))
	}
	rec := archivedJob{Format: archiveFormat, ID: job.ID(), Spec: job.Spec(), Status: st}
	result, err := job.Wait(ctx)
	if result == nil {
		return fail(err)
	}
	rec.Result, rec.Ending = *result, EndingOf(err)
	if rec.Why, err = job.Why(ctx); err != nil {
		return fail(err)
	}
	if rec.Progress, err = job.Progress(ctx); err != nil {
		return fail(err)
	}
	if rec.Usage, err = job.Usage(ctx); err != nil {
		return fail(err)
	}
	for e, err := range job.Events(ctx, nil) {
		if err != nil {
			return fail(err)
		}
		rec.Events = append(rec.Events, e)
	}
	if err := a.keepLog(ctx, job); err != nil {
		return fail(err)
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return fail(err)
	}
	// The record comes last: a job is in the archive when all of it is.
	if err := a.store.Put(ctx, a.key(job.ID(), archivedRecord), strings.NewReader(string(data)), int64(len(data))); err != nil {
		return fail(err)
	}
	return nil
}

// keepLog streams the log; no more than a line of it is in memory.
func (a *Archive) keepLog(ctx context.Context, job Job) error {
	r, w := io.Pipe()
	go func() {
		zip := gzip.NewWriter(w)
		buf := bufio.NewWriter(zip)
		enc := json.NewEncoder(buf)
		var err error
		for line, lerr := range job.Logs(ctx, nil) {
			if err = lerr; err != nil {
				break
			}
			kept := archivedLine{Line: line}
			if !utf8.ValidString(line.Text) {
				kept.Raw, kept.Text = []byte(line.Text), ""
			}
			if err = enc.Encode(kept); err != nil {
				break
			}
		}
		if err == nil {
			err = errors.Join(buf.Flush(), zip.Close())
		}
		_ = w.CloseWithError(err) // never fails
	}()
	err := a.store.Put(ctx, a.key(job.ID(), archivedLog), r, -1)
	_ = r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // ends the writer when the store gave up
	return err
}

// Attach returns a handle on a kept job, or ErrNotFound.
func (a *Archive) Attach(ctx context.Context, id string) (Job, error) {
	if !ValidJobID(id) {
		return nil, fmt.Errorf("train: archived job %q: not an id: %w", id, ErrNotFound)
	}
	body, err := a.store.Get(ctx, a.key(id, archivedRecord), 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("train: archived job %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("train: archived job %q: %w", id, err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxArchivedRecord+1))
	if err != nil {
		return nil, fmt.Errorf("train: archived job %q: %w", id, err)
	}
	rec, err := parseArchived(data)
	if err == nil && rec.ID != id {
		err = fmt.Errorf("it is of job %q: %w", rec.ID, ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("train: archived job %q: %w", id, err)
	}
	return &archived{a: a, rec: rec}, nil
}

func parseArchived(data []byte) (archivedJob, error) {
	var rec archivedJob
	if len(data) > maxArchivedRecord {
		return rec, fmt.Errorf("its record is longer than %d bytes: %w", maxArchivedRecord, ErrInvalid)
	}
	if err := json.Unmarshal(data, &rec); err != nil {
		return rec, fmt.Errorf("its record: %w: %w", err, ErrInvalid)
	}
	if rec.Format != archiveFormat {
		return rec, fmt.Errorf("its record has format %d, this version knows %d: %w", rec.Format, archiveFormat, ErrUnsupported)
	}
	if !ValidJobID(rec.ID) || !rec.Status.Phase.Ended() {
		return rec, fmt.Errorf("its record is incomplete: %w", ErrInvalid)
	}
	return rec, rec.Spec.Validate()
}

// List yields the kept jobs, in the order of the store's keys. Active jobs are
// never kept.
func (a *Archive) List(ctx context.Context, opts *ListOptions) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		if opts != nil && opts.Active {
			return
		}
		for info, err := range a.store.List(ctx, a.prefix+"/") {
			if err != nil {
				yield(nil, fmt.Errorf("train: list the archive: %w", err))
				return
			}
			id, name := path.Split(strings.TrimPrefix(info.Name(), a.prefix+"/"))
			if name != archivedRecord {
				continue
			}
			job, err := a.Attach(ctx, strings.TrimSuffix(id, "/"))
			if errors.Is(err, ErrNotFound) || (err == nil && !opts.Match(job.Spec())) {
				continue
			}
			if !yield(job, err) {
				return
			}
		}
	}
}
