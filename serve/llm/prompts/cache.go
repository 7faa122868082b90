package prompts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Version is a version of a prompt as a registry has it.
type Version struct {
	// Number is its number.
	Number string
	// Tags are those of the version, with MLflow's among them.
	Tags map[string]string
}

// Source is where prompts come from.
type Source interface {
	// Resolve returns the version that a reference names, "greet/3" by its number
	// or "greet@champion" by an alias. An error that is an ErrNotFound says that
	// there is none; any other one that nobody knows.
	Resolve(ctx context.Context, ref string) (Version, error)
}

// SourceFunc makes a Source of a function.
type SourceFunc func(ctx context.Context, ref string) (Version, error)

// Resolve implements Source.
func (f SourceFunc) Resolve(ctx context.Context, ref string) (Version, error) { return f(ctx, ref) }

// prompt is a version that was read. It is never changed.
type prompt struct {
	number   string
	template *template
}

// entry is what is known of a reference.
type entry struct {
	known   chan struct{} // Closed when prompt or err is there.
	prompt  *prompt
	err     error
	checked time.Time // When the source was asked last.
	used    time.Time
	asking  bool // It is being asked again.
}

// cache keeps prompts by their references.
type cache struct {
	source Source
	o      *Options

	mu      sync.Mutex
	entries map[string]*entry
}

// badFor is how long it is remembered that there is no such prompt.
const badFor = 5 * time.Second

// get returns the prompt of a reference. Only the first request for it waits.
func (c *cache) get(ctx context.Context, ref string) (*prompt, error) {
	now := time.Now()
	c.mu.Lock()
	e := c.entries[ref]
	if e != nil && e.done() && e.prompt == nil && now.Sub(e.checked) > min(badFor, c.o.Refresh) {
		e = nil // It may be there by now.
	}
	switch {
	case e == nil:
		c.room()
		e = &entry{known: make(chan struct{}), used: now}
		c.entries[ref] = e
		// Behind the request, which may go away while others wait for the same.
		go c.load(context.WithoutCancel(ctx), ref, e)
	case e.done() && !e.asking && e.prompt != nil && now.Sub(e.checked) >= c.o.Refresh:
		e.asking = true
		go c.reload(context.WithoutCancel(ctx), ref, e)
	}
	e.used = now
	c.mu.Unlock()
	select {
	case <-e.known:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.prompt, e.err
}

func (e *entry) done() bool {
	select {
	case <-e.known:
		return true
	default:
		return false
	}
}

// room makes room for one entry: what is no prompt goes first, then what was used
// longest ago. The lock is held.
func (c *cache) room() {
	if len(c.entries) < c.o.MaxPrompts {
		return
	}
	var worst string
	var at *entry
	for ref, e := range c.entries {
		bad, than := e.prompt == nil, at != nil && at.prompt == nil
		if at == nil || bad && !than || bad == than && e.used.Before(at.used) {
			worst, at = ref, e
		}
	}
	delete(c.entries, worst)
}

// ask asks the source.
func (c *cache) ask(ctx context.Context, ref string) (p *prompt, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("prompts: resolve %q: the source panicked: %v", ref, fault)
		}
		if err != nil && c.o.OnError != nil && !errors.Is(err, errs.ErrNotFound) {
			c.o.OnError(err)
		}
	}()
	v, err := c.source.Resolve(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("prompts: resolve %q: %w", ref, err)
	}
	t, err := compile(v.Tags)
	if err != nil {
		return nil, fmt.Errorf("prompts: prompt %q, version %s: %w", ref, v.Number, err)
	}
	return &prompt{v.Number, t}, nil
}

// load asks for a reference for the first time.
func (c *cache) load(ctx context.Context, ref string, e *entry) {
	p, err := c.ask(ctx, ref)
	c.mu.Lock()
	e.prompt, e.err, e.checked = p, err, time.Now()
	c.mu.Unlock()
	close(e.known)
}

// reload asks again. What was known stays unless there is an answer.
func (c *cache) reload(ctx context.Context, ref string, e *entry) {
	p, err := c.ask(ctx, ref)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.asking, e.checked = false, time.Now()
	switch {
	case err == nil:
		e.prompt = p
	case errors.Is(err, errs.ErrNotFound):
		e.prompt, e.err = nil, err
	}
}
