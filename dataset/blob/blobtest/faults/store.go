package faults

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Op is a call of a store.
type Op string

// The calls. Writes are Create, Put, Swap, Copy and Delete.
const (
	Create Op = "create"
	Put    Op = "put"
	Swap   Op = "swap"
	Copy   Op = "copy"
	Delete Op = "delete"
	Get    Op = "get"
	Stat   Op = "stat"
	List   Op = "list"
)

// Writes reports whether the call changes the store.
func (o Op) Writes() bool {
	switch o {
	case Create, Put, Swap, Copy, Delete:
		return true
	case Get, Stat, List:
	}
	return false
}

// Call is one call of the store.
type Call struct {
	N   int // Counts the calls of this store, from 1.
	Op  Op
	Key string // The prefix for List, the target for Copy.
}

// Rule hits some calls with a fault.
type Rule struct {
	// Op is the call to hit. The default "" is every call.
	Op Op
	// Key is a part of the keys to hit. The default "" is every key.
	Key string
	// Skip is how many such calls pass first. The default is 0.
	Skip int
	// Times is how many are hit then. The default is 1; -1 is all.
	Times int
	// Fault is what happens to them; see the functions that return one.
	Fault Fault
}

// Options of [New].
type Options struct {
	// Before is called on the caller's goroutine before each call. An error is
	// returned to the caller in place of the call. The default is none.
	Before func(Call) error
	// After is called behind each call with its error. The default is none.
	After func(Call, error)
	// Record keeps every call for [Store.Calls]. The default is false.
	Record bool
}

// Store is a [blob.Store] that fails as it is told. Create it with [New].
type Store struct {
	inner blob.Store
	opts  Options

	mu            sync.Mutex
	n             int
	calls         []Call
	rules         []*rule
	skew          time.Duration
	unconditional bool
	random        *rand.Rand
	share         float64
	shaken        []Fault
}

type rule struct {
	Rule
	seen int
	hit  int
}

var (
	_ blob.Store   = (*Store)(nil)
	_ blob.Swapper = (*Store)(nil)
	_ blob.Copier  = (*Store)(nil)
)

// New wraps a store. Without a rule it changes nothing.
func New(inner blob.Store, opts *Options) *Store {
	s := &Store{inner: inner}
	if opts != nil {
		s.opts = *opts
	}
	return s
}

// Inject adds a rule. Of several that match a call the one that was added first
// and has hits left applies.
func (s *Store) Inject(r Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Times == 0 {
		r.Times = 1
	}
	s.rules = append(s.rules, &rule{Rule: r})
}

// Hits is how many calls the rules have hit so far, Shake's included.
func (s *Store) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.rules {
		n += r.hit
	}
	return n
}

// Calm drops all rules, Shake, the skew and what Unconditional set, and forgets
// the recorded calls.
func (s *Store) Calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.random, s.calls, s.skew, s.unconditional = nil, nil, nil, 0, false
}

// Shake lets a share of all calls, from 0 to 1, fail with one of the faults each,
// chosen by a generator with the seed. Faults of bodies only hit Get.
func (s *Store) Shake(seed uint64, share float64, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.random, s.share, s.shaken = rand.New(rand.NewPCG(seed, 0)), share, faults //nolint:gosec // repeatable on purpose
	if len(faults) == 0 {
		s.random = nil
	}
}

// Skew moves the times that the store gives by d, as a server does whose clock is
// wrong.
func (s *Store) Skew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// Unconditional makes the store ignore conditions, as some servers do: Create and
// Swap then replace whatever is there.
func (s *Store) Unconditional(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unconditional = on
}

// Calls are the calls so far, in order, when Options.Record is set.
func (s *Store) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Count is how many of the recorded calls are one of the ops.
func (s *Store) Count(ops ...Op) int {
	n := 0
	for _, c := range s.Calls() {
		for _, op := range ops {
			if c.Op == op {
				n++
			}
		}
	}
	return n
}

// begin notes a call and picks what happens to it.
func (s *Store) begin(op Op, key string) (Call, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	c := Call{N: s.n, Op: op, Key: key}
	if s.opts.Record {
		s.calls = append(s.calls, c)
	}
	for _, r := range s.rules {
		if r.Op != "" && r.Op != op || !strings.Contains(key, r.Key) || r.Times >= 0 && r.hit >= r.Times {
			continue
		}
		if r.seen++; r.seen <= r.Skip {
			continue
		}
		r.hit++
		return c, r.Fault
	}
	if s.random != nil && s.random.Float64() < s.share {
		return c, s.shaken[s.random.IntN(len(s.shaken))]
	}
	return c, Fault{}
}

// call runs one call with what the rules say.
func (s *Store) call(ctx context.Context, op Op, key string, run func(Fault) error) error {
	c, f := s.begin(op, key)
	err := s.before(c)
	if err == nil {
		if f.call != nil {
			err = f.call(ctx, c, func() error { return run(f) })
		} else {
			err = run(f)
		}
	}
	if s.opts.After != nil {
		s.opts.After(c, err)
	}
	return err
}

func (s *Store) before(c Call) error {
	if s.opts.Before == nil {
		return nil
	}
	if err := s.opts.Before(c); err != nil {
		return &fs.PathError{Op: string(c.Op), Path: c.Key, Err: err}
	}
	return nil
}

func (s *Store) state() (unconditional bool, skew time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unconditional, s.skew
}

// Create implements [blob.Store].
func (s *Store) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.call(ctx, Create, key, func(Fault) error {
		if deaf, _ := s.state(); deaf {
			return s.inner.Put(ctx, key, body, size)
		}
		return s.inner.Create(ctx, key, body, size)
	})
}

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.call(ctx, Put, key, func(Fault) error { return s.inner.Put(ctx, key, body, size) })
}

// Swap implements [blob.Swapper] where the wrapped store does.
func (s *Store) Swap(ctx context.Context, key string, body io.Reader, size int64, old string) (string, error) {
	tag := ""
	err := s.call(ctx, Swap, key, func(Fault) error {
		if deaf, _ := s.state(); deaf {
			if err := s.inner.Put(ctx, key, body, size); err != nil {
				return err
			}
			fi, err := s.inner.Stat(ctx, key)
			if err == nil {
				tag = blob.Tag(fi)
			}
			return err
		}
		var err error
		tag, err = blob.Swap(ctx, s.inner, key, body, size, old)
		return err
	})
	if err != nil {
		return "", err
	}
	return tag, nil
}

// Copy implements [blob.Copier] where the wrapped store does.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	return s.call(ctx, Copy, to, func(Fault) error { return blob.Copy(ctx, s.inner, from, to) })
}

// Get implements [blob.Store].
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	var r io.ReadCloser
	err := s.call(ctx, Get, key, func(f Fault) error {
		var err error
		if r, err = s.inner.Get(ctx, key, off, n); err != nil {
			return err
		}
		fi := blob.Opened(r)
		if f.body != nil {
			r = f.body(ctx, r)
		}
		if fi != nil {
			r = blob.NewReader(r, s.info(fi))
		}
		return nil
	})
	if err != nil {
		if r != nil {
			_ = r.Close() // the fault is what counts
		}
		return nil, err
	}
	return r, nil
}

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	var fi fs.FileInfo
	err := s.call(ctx, Stat, key, func(Fault) error {
		var err error
		fi, err = s.inner.Stat(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.info(fi), nil
}

// List implements [blob.Store]. A fault ends the list before its first object.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		stopped := false
		err := s.call(ctx, List, prefix, func(Fault) error {
			for fi, err := range s.inner.List(ctx, prefix) {
				if err != nil {
					return err
				}
				if !yield(s.info(fi), nil) {
					stopped = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.call(ctx, Delete, key, func(Fault) error { return s.inner.Delete(ctx, key) })
}

// info is fi by the clock of this store.
func (s *Store) info(fi fs.FileInfo) fs.FileInfo {
	_, skew := s.state()
	return blob.NewTaggedInfo(fi.Name(), fi.Size(), fi.ModTime().Add(skew), blob.Tag(fi))
}
