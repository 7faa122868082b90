package mlflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/registry"
)

const (
	// copiesAtOnce is how many versions get their files at a time; the others
	// wait.
	copiesAtOnce = 4
	// retryAfter is how soon a copy that failed may be tried again.
	retryAfter = 5 * time.Second
)

// copies are the versions whose files are being copied by this process. One
// whose process died is Pending until somebody asks for it.
type copies struct {
	mu      sync.Mutex
	running map[string]*running
	slots   chan struct{}
	ctx     context.Context //nolint:containedctx // ends with Shutdown, not with a request
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	closed  bool
}

type running struct {
	done  chan struct{}
	until time.Time // of a failed one: when it may be tried again
}

// start copies the files of a Pending version, unless that is under way or has
// just failed; nil when nothing is running.
func (cs *copies) start(h *Handler, v *registry.Version) *running {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return nil
	}
	if cs.running == nil {
		cs.running = map[string]*running{}
		cs.slots = make(chan struct{}, copiesAtOnce)
		cs.ctx, cs.cancel = context.WithCancel(context.Background())
	}
	key := v.Ref()
	if r := cs.running[key]; r != nil {
		if r.until.IsZero() || time.Now().Before(r.until) {
			return r
		}
	}
	r := &running{done: make(chan struct{})}
	cs.running[key] = r
	cs.wg.Go(func() {
		again := h.copyFiles(cs.ctx, cs.slots, v)
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if again {
			r.until = time.Now().Add(retryAfter)
		} else {
			delete(cs.running, key)
		}
		close(r.done)
	})
	return r
}

// wait starts the copy and waits for it for a while. It returns the version as
// it is then.
func (cs *copies) wait(ctx context.Context, h *Handler, v *registry.Version) (*registry.Version, error) {
	r := cs.start(h, v)
	if r == nil {
		return v, nil
	}
	timer := time.NewTimer(h.opts.Wait)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return h.reg.Version(ctx, v.Name, v.Number)
}

// resume goes on with a copy that a crash cut off: clients ask for a version
// until it is ready.
func (h *Handler) resume(v *registry.Version) {
	if v.Status == registry.Pending {
		h.copies.start(h, v)
	}
}

// copyFiles gives a Pending version its files. again says that it did not, and
// that trying again may.
func (h *Handler) copyFiles(ctx context.Context, slots chan struct{}, v *registry.Version) (again bool) {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return true
	}
	err := h.completeVersion(ctx, v)
	switch {
	case err == nil, errors.Is(err, registry.ErrConflict), ctx.Err() != nil:
		return false
	case !errors.Is(err, registry.ErrInvalid) && !errors.Is(err, registry.ErrNotFound):
		h.opts.Logger.Warn("mlflow: copying the files of a version failed, it is tried again when somebody asks for it", "version", v.Ref(), "error", err)
		return true
	}
	h.opts.Logger.Warn("mlflow: a version cannot have its files", "version", v.Ref(), "error", err)
	u := registry.VersionUpdate{Status: registry.Failed, StatusMessage: cutBytes(wireMessage(err), 1000)}
	if err := h.reg.UpdateVersion(ctx, v.Name, v.Number, u); err != nil {
		h.opts.Logger.Warn("mlflow: a version could not be given up", "version", v.Ref(), "error", err)
	}
	return false
}

func wireMessage(err error) string {
	if wire := wireError(err); wire != nil {
		return wire.Message
	}
	return err.Error()
}

// completeVersion finds the source of a Pending version again and copies it.
func (h *Handler) completeVersion(ctx context.Context, v *registry.Version) error {
	s, err := h.storedSource(ctx, v)
	if err != nil {
		return err
	}
	files, _, err := h.sourceFiles(ctx, s)
	if err != nil {
		return err
	}
	if files == nil {
		return fmt.Errorf("mlflow: there are no files at %q: %w", v.Source, registry.ErrNotFound)
	}
	return h.reg.Complete(ctx, v.Name, v.Number, files)
}

// Shutdown ends the copies that run; their versions stay Pending until a client
// asks for them. It returns ctx's error when that takes too long, and may be
// called again.
func (h *Handler) Shutdown(ctx context.Context) error {
	cs := &h.copies
	cs.mu.Lock()
	cs.closed = true
	if cs.cancel != nil {
		cs.cancel()
	}
	cs.mu.Unlock()
	done := make(chan struct{})
	go func() {
		cs.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("mlflow: shutdown: %w", ctx.Err())
	}
}
