package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
)

// PublisherOptions changes a Publisher. Nil means all defaults.
type PublisherOptions struct {
	// Replica names this process for people; a random part is added, so that a
	// process that starts again is another one. Default: nothing but that.
	Replica string
	// Store is where Publish writes. Default: nowhere, for a Handler alone.
	Store blob.Store
	// Prefix is put before the keys: prefix/model/version/process. Default
	// "monitor".
	Prefix string
	// Every is how often Run publishes. Default 30 s.
	Every time.Duration
	// OnError is told when Run could not publish; the next turn tries again.
	// Default: nobody.
	OnError func(error)
}

// defaultPrefix is where snapshots are kept.
const defaultPrefix = "monitor"

// Publisher shows what a monitor has counted to an evaluator. It is a Run value,
// safe for concurrent use.
type Publisher struct {
	monitor *monitor.Monitor
	opts    PublisherOptions
	process string

	mu     sync.Mutex // Held while a snapshot is made or written: numbers only grow.
	number uint64
}

// NewPublisher returns the publisher of a monitor. Each process needs one of its
// own.
func NewPublisher(m *monitor.Monitor, opts *PublisherOptions) (*Publisher, error) {
	p := &Publisher{monitor: m}
	if opts != nil {
		p.opts = *opts
	}
	var f errs.Faults
	f.Check(m != nil, "the monitor is nil")
	f.Check(p.opts.Every >= 0, "Every is %s, want 0 or more", p.opts.Every)
	f.Check(len(p.opts.Replica) < maxName/2, "Replica has %d bytes, want less than %d", len(p.opts.Replica), maxName/2)
	if err := f.Err("fleet: new publisher"); err != nil {
		return nil, err
	}
	if p.opts.Prefix == "" {
		p.opts.Prefix = defaultPrefix
	}
	if p.opts.Every == 0 {
		p.opts.Every = 30 * time.Second
	}
	p.process = url.PathEscape(p.opts.Replica) + "-" + rand.Text()
	return p, nil
}

// snapshot counts up to now. The caller holds p.mu.
func (p *Publisher) snapshot() (*Snapshot, []byte, error) {
	state, ref, observed, err := p.monitor.SnapshotCounts()
	if err != nil {
		return nil, nil, err
	}
	digest, err := ref.Digest()
	if err != nil {
		return nil, nil, err
	}
	p.number++
	// A monitor that goes over to another version counts from 0 again: to the
	// evaluator that is another process.
	s := &Snapshot{
		Model: state.Model, Version: state.Version, Reference: digest, Process: p.process + "-" + strconv.FormatInt(state.Since.UnixNano(), 36),
		Number: p.number, counts: observed.AppendCounts(nil),
	}
	data, err := s.MarshalBinary()
	return s, data, err
}

// Publish writes one snapshot to the store, over the one before. Call it once
// more after the last row.
func (p *Publisher) Publish(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opts.Store == nil {
		return fmt.Errorf("fleet: publish: PublisherOptions.Store is nil: %w", ErrInvalid)
	}
	s, data, err := p.snapshot()
	if err != nil {
		return fmt.Errorf("fleet: publish: %w", err)
	}
	key := folder(p.opts.Prefix, s.Model, s.Version) + s.Process
	if err := p.opts.Store.Put(ctx, key, bytes.NewReader(data), int64(len(data))); err != nil {
		return fmt.Errorf("fleet: publish: %w", err)
	}
	return nil
}

// folder is where the snapshots of a version are.
func folder(prefix, model, version string) string {
	if prefix == "" {
		prefix = defaultPrefix
	}
	return path.Join(prefix, "m-"+url.PathEscape(model), "v-"+url.PathEscape(version)) + "/"
}

// Run publishes now and then until ctx ends, and once more then. It returns nil
// after ctx, or the error of that last time.
func (p *Publisher) Run(ctx context.Context) error {
	ticker := time.NewTicker(p.opts.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := p.Publish(ctx); err != nil && p.opts.OnError != nil && ctx.Err() == nil {
				p.opts.OnError(err)
			}
		case <-ctx.Done():
			const last = 10 * time.Second
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
			defer cancel()
			return p.Publish(final)
		}
	}
}

// Handler answers GET with the snapshot of the moment, for FromPeers. Authorize
// refuses a request with an error, which is not shown; nil lets everybody read
// how many values were in which bin.
func (p *Publisher) Handler(authorize func(*http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "want GET", http.StatusMethodNotAllowed)
			return
		}
		if authorize != nil && authorize(r) != nil {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		p.mu.Lock()
		_, data, err := p.snapshot()
		p.mu.Unlock()
		if err != nil {
			http.Error(w, "the monitor has no counts", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data) // The peer sees what is missing.
	})
}
