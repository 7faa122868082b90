package feed

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/loader"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Limits bound what one stream may cost.
type Limits struct {
	// Window is the largest loader.Options.Window that a request may ask for.
	// The default is 16.
	Window int
	// BatchRows is the largest loader.Options.BatchRows that a request may ask
	// for. The default is 1,048,576.
	BatchRows int
	// Prefetch and Workers are those of every stream; see loader.Options for them
	// and their defaults.
	Prefetch int64
	Workers  int
}

func (l *Limits) window() int {
	if l == nil {
		return cmp.Or(0, 16)
	}
	return cmp.Or(l.Window, 16)
}

func (l *Limits) batchRows() int {
	if l == nil {
		return 1 << 20
	}
	return cmp.Or(l.BatchRows, 1<<20)
}

// Source opens the shards of a catalog's datasets for requests. It is what the
// HTTP handler and package dataset/flight have in common. It is a plain value,
// safe for concurrent use; it remembers the datasets that it opened.
type Source struct {
	catalog *dataset.Catalog
	limits  *Limits

	mu   sync.Mutex
	open map[string]*dataset.Dataset
}

// maxOpen bounds the datasets that are remembered.
const maxOpen = 256

// NewSource returns the source of a catalog. Limits may be nil.
func NewSource(c *dataset.Catalog, limits *Limits) (*Source, error) {
	var f errs.Faults
	f.Check(c != nil, "the catalog is nil")
	if l := limits; l != nil {
		f.Check(l.Window >= 0, "window is %d, want 0 or more", l.Window)
		f.Check(l.BatchRows >= 0, "batch rows are %d, want 0 or more", l.BatchRows)
		f.Check(l.Prefetch >= -1, "prefetch is %d, want -1, 0 or more", l.Prefetch)
		f.Check(l.Workers >= 0, "workers are %d, want 0 or more", l.Workers)
	}
	if err := f.Err("feed: limits"); err != nil {
		return nil, err
	}
	return &Source{catalog: c, limits: limits, open: map[string]*dataset.Dataset{}}, nil
}

func (s *Source) dataset(ctx context.Context, name string) (*dataset.Dataset, error) {
	s.mu.Lock()
	d := s.open[name]
	s.mu.Unlock()
	if d != nil {
		return d, nil
	}
	d, err := s.catalog.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= maxOpen {
		clear(s.open)
	}
	s.open[name] = d
	return d, nil
}

// Loader returns the loader of the request's version and options.
func (s *Source) Loader(ctx context.Context, r *Request) (*loader.Loader, error) {
	opts, err := r.options(s.limits)
	if err != nil {
		return nil, err
	}
	d, err := s.dataset(ctx, r.Dataset)
	if err != nil {
		return nil, err
	}
	v, err := version(ctx, d, r.Ref)
	if err != nil {
		return nil, err
	}
	return loader.New(ctx, v, opts)
}

// Stream opens the shard that the request asks for, and names its version.
func (s *Source) Stream(ctx context.Context, r *Request) (*loader.Stream, *dataset.Version, error) {
	l, err := s.Loader(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if r.Token == "" {
		stream, err := l.Shard(loader.Shard{Epoch: r.Epoch, Rank: r.Rank, World: r.World})
		return stream, l.Version(), err
	}
	t, err := loader.ParseToken(r.Token)
	if err != nil {
		return nil, nil, err
	}
	var f errs.Faults
	f.Check(r.Epoch == 0 || r.Epoch == t.Epoch(), "epoch is %d, and the token is of %d", r.Epoch, t.Epoch())
	f.Check(r.Rank == 0 || r.Rank == t.Rank(), "rank is %d, and the token is of %d", r.Rank, t.Rank())
	f.Check(r.World == 0 || r.World == t.World(), "world is %d, and the token is of %d", r.World, t.World())
	if err := f.Err(fmt.Sprintf("feed: request for %q", r.Dataset)); err != nil {
		return nil, nil, err
	}
	stream, err := l.Resume(t)
	return stream, l.Version(), err
}

// version finds the version of a ref.
func version(ctx context.Context, d *dataset.Dataset, ref string) (*dataset.Version, error) {
	if ref == "" {
		return d.Latest(ctx)
	}
	return d.Resolve(ctx, ref)
}

// Pin is the ref that finds this very version again, whatever is committed.
func Pin(v *dataset.Version) string { return v.Branch + "@" + strconv.FormatInt(v.Number, 10) }
