package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
)

// LeaseOptions changes a Lease. Nil means all defaults.
type LeaseOptions struct {
	// Duration is how long the others wait for a holder that is silent, by their
	// own clocks. A holder that cannot renew stops after two thirds of it. Default
	// 30 s.
	Duration time.Duration
	// OnError is told of errors after which the election goes on. Default: nobody.
	OnError func(error)
}

// ErrLost is the cause of the end of lead's context when the lease could not be
// renewed in time.
var ErrLost = errors.New("the lease was lost")

// Lease elects one process by an object of a store that can compare and swap. It
// is an Elector. A holder writes the object anew a few times in each Duration;
// who has not seen it change for a Duration writes it over, and of several one
// succeeds. No clock is compared with another. A process that is frozen for
// longer may still act when it wakes up: what must not happen twice then needs a
// compare-and-swap of its own, as Evaluate has.
type Lease struct {
	store  blob.Store
	key    string
	holder string
	opts   LeaseOptions
}

// NewLease returns a candidate for the object at key.
func NewLease(store blob.Store, key string, opts *LeaseOptions) (*Lease, error) {
	l := &Lease{store: store, key: key, holder: rand.Text()}
	if opts != nil {
		l.opts = *opts
	}
	var f errs.Faults
	f.Check(store != nil, "the store is nil")
	f.Check(blob.ValidateKey(key) == nil, "the key %q is not acceptable to stores", key)
	f.Check(l.opts.Duration >= 0, "Duration is %s, want 0 or more", l.opts.Duration)
	if err := f.Err("fleet: new lease"); err != nil {
		return nil, err
	}
	if l.opts.Duration == 0 {
		l.opts.Duration = 30 * time.Second
	}
	if l.opts.OnError == nil {
		l.opts.OnError = func(error) {}
	}
	return l, nil
}

// Run stands for election until ctx ends, and calls lead while this process
// leads. When lead returns by itself Run gives the lease back and returns what
// lead returned; when ctx ends it gives the lease back and returns nil. After a
// loss it stands again.
func (l *Lease) Run(ctx context.Context, lead func(ctx context.Context) error) error {
	var seen string // The tag, since when.
	var since time.Time
	tick := time.NewTicker(l.opts.Duration / 6)
	defer tick.Stop()
	for {
		tag, held, err := l.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			l.opts.OnError(err)
		case held && (tag != seen || since.IsZero()):
			seen, since = tag, time.Now()
		case !held || time.Since(since) >= l.opts.Duration:
			mine, err := l.write(ctx, tag, l.holder)
			if err == nil {
				done, err := l.hold(ctx, mine, lead)
				if done {
					return err
				}
				l.opts.OnError(fmt.Errorf("fleet: lease %q: %w", l.key, ErrLost))
			} else if !errors.Is(err, blob.ErrConflict) && ctx.Err() == nil {
				l.opts.OnError(fmt.Errorf("fleet: lease %q: %w", l.key, err))
			}
			since = time.Time{}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look reads the object; one that is empty, or not there, is not held.
func (l *Lease) look(ctx context.Context) (tag string, held bool, err error) {
	data, tag, err := blob.ReadTagged(ctx, l.store, l.key, maxName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("fleet: lease %q: %w", l.key, err)
	}
	return tag, len(data) > 1, nil
}

// write replaces the object of a tag. Its content is different each time, so
// that its tag is.
func (l *Lease) write(ctx context.Context, tag, holder string) (string, error) {
	data := []byte("-")
	if holder != "" {
		data = []byte(holder + " " + rand.Text())
	}
	return blob.Swap(ctx, l.store, l.key, bytes.NewReader(data), int64(len(data)), tag)
}

// hold calls lead and renews until it returns, or the lease is lost, which is
// false.
func (l *Lease) hold(ctx context.Context, tag string, lead func(context.Context) error) (bool, error) {
	leading, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	ended := make(chan error, 1)
	go func() { ended <- lead(leading) }()
	tick := time.NewTicker(l.opts.Duration / 6)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case err := <-ended:
			l.giveBack(ctx, tag)
			if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
				return true, nil
			}
			return true, err
		case <-tick.C:
			if leading.Err() != nil {
				continue // lead is ending.
			}
			short, cancel := context.WithTimeout(leading, l.opts.Duration/6)
			start := time.Now()
			next, err := l.write(short, tag, l.holder)
			cancel()
			switch {
			case err == nil:
				tag, renewed = next, start
			case errors.Is(err, blob.ErrConflict) || time.Since(renewed) > l.opts.Duration*2/3:
				lose(ErrLost)
				if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
					l.opts.OnError(fmt.Errorf("fleet: lease %q: lead: %w", l.key, err))
				}
				return false, nil
			}
		}
	}
}

// giveBack lets another take over at once.
func (l *Lease) giveBack(ctx context.Context, tag string) {
	const patience = 5 * time.Second
	final, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := l.write(final, tag, ""); err != nil && !errors.Is(err, blob.ErrConflict) {
		l.opts.OnError(fmt.Errorf("fleet: lease %q: give it back: %w", l.key, err))
	}
}
