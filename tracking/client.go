package tracking

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Options of New. The zero value is ready, and so is a nil pointer.
type Options struct {
	// Artifacts holds the files that URIs of the scheme mlflow-artifacts name,
	// which is the default of every store: below the key that ArtifactKey
	// gives. For a Client of a remote server it is the server's artifact
	// proxy. Default nil: such files answer ErrUnsupported.
	Artifacts Artifacts

	// OpenArtifacts returns the files below a URI of any other scheme, like
	// "s3://bucket/3/8d3f0a2b/artifacts" or "file:///mnt/runs/8d3f0a2b/artifacts":
	// key "a" is the file <uri>/a. It is called for each operation, so a
	// program that has few buckets opens them once and returns parts of them.
	// Default nil: such files answer ErrUnsupported.
	OpenArtifacts func(ctx context.Context, uri string) (Artifacts, error)

	// ResolveModel returns the artifact URI of a registered model version for
	// Client.Files: uri is like "models:/fraud/3" or "models:/fraud@champion".
	// Default nil: such URIs answer ErrUnsupported.
	ResolveModel func(ctx context.Context, uri string) (string, error)

	// Span returns the ids, in hexadecimal, of the OpenTelemetry trace and
	// span that ctx carries, or empty texts. StartRun keeps them in the tags
	// TagTraceID and TagSpanID of the run. Default nil: no such tags.
	Span func(ctx context.Context) (traceID, spanID string)

	// OnError is told what goes wrong behind Run.Metric: a batch that could
	// not be stored and will be tried again, points that were dropped. It is
	// called by one goroutine at a time and should return soon; while it runs
	// no points are flushed. Default nil: errors appear in Flush, Finish and
	// Shutdown and in the Logger.
	OnError func(error)

	// Logger gets the same errors at level Warn. Default nil: no log.
	Logger *slog.Logger

	// FlushEvery is the longest time that a point waits in the buffer while
	// the store answers. Default 500 ms.
	FlushEvery time.Duration

	// MaxBuffered is the number of points that wait in memory for all runs of
	// the Client together; further ones are dropped and counted. A point takes
	// about 64 bytes. Default 131,072.
	MaxBuffered int
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.FlushEvery <= 0 {
		out.FlushEvery = 500 * time.Millisecond
	}
	if out.MaxBuffered <= 0 {
		out.MaxBuffered = 1 << 17
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}

// Client records runs in a Store. It is safe for concurrent use and ends with
// Shutdown: its one background worker starts with the first Run.Metric.
type Client struct {
	store    Store
	opts     Options
	recorder *recorder
}

// New returns a Client of store. It does no I/O and does not close the store.
func New(store Store, opts *Options) *Client {
	o := opts.withDefaults()
	return &Client{store: store, opts: o, recorder: newRecorder(store, o)}
}

// Shutdown stops intake, stores the buffered points and ends the worker. After
// it every other method answers ErrClosed and Run.Metric counts its points as
// dropped. When ctx ends first, or the store fails, it returns the error and
// may be called again to go on; after success it does nothing. A nil error
// means that no point was lost since the last Flush of its run.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.recorder.shutdown(ctx)
}

func (c *Client) check(operation string) error {
	if c.recorder.isClosed() {
		return fmt.Errorf("tracking: %s: the client was shut down: %w", operation, ErrClosed)
	}
	return nil
}

// pages turns paged answers into one sequence. The consumer's loop body runs
// between two reads, never inside one.
func pages[T any](c *Client, operation string, p Page, read func(Page) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for {
			if err := c.check(operation); err != nil {
				yield(zero, err)
				return
			}
			page, next, err := read(p)
			if err != nil {
				yield(zero, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == p.Token { // a faulty store must not become an endless loop
				yield(zero, fmt.Errorf("tracking: %s: the store answered the same page token twice: %w", operation, errs.ErrInvalid))
				return
			}
			p.Token = next
		}
	}
}

// now is the current time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
