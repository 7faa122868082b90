package loader

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	defaultWindow    = 4
	defaultBatchRows = 4096
	defaultPrefetch  = 256 << 20

	maxWorld  = 1 << 16
	maxWindow = 1 << 10
	maxBatch  = 1 << 24
)

// Options say which rows of a version are delivered, and in what order. The
// fields from Where to Even decide which row comes when: a token is good only
// where all of them are the same.
type Options struct {
	// Columns are the names to deliver, in the order that the records shall have.
	// The default is all columns. Only these, and those of the filter and the
	// split, are read.
	Columns []string
	// Where keeps the rows for which it is true. The default is all rows.
	Where filter.Expr
	// Split keeps the rows of some buckets of a key, for a holdout. The default
	// is all rows.
	Split *Split
	// Shuffle delivers the groups of rows in a new order each epoch, and mixes
	// the rows of Window groups. The default is the order of the version.
	Shuffle bool
	// Seed chooses the order when Shuffle is set. The default is 0.
	Seed uint64
	// Window is how many row groups a rank holds, and mixes, at a time: more of
	// them mix better and take more memory, at most some 64 MB each. Without
	// Shuffle it is how many are decoded side by side. The default is 4.
	Window int
	// Even gives each rank the same number of rows, that of the rank with the
	// fewest, so that ranks that train in step end in the same step; the few
	// rows over are left out, others each epoch when Shuffle is set. It cannot be
	// had with Where or Split, whose rows are not counted before. The default is
	// that every row is delivered to exactly one rank.
	Even bool

	// BatchRows is how many rows a record has; only the last of a shard has
	// fewer. The default is 4096.
	BatchRows int
	// Prefetch is how many bytes of decoded windows may wait for their turn while
	// one is delivered. One window that waits may go beyond it; -1 reads a window
	// only when it is needed. The default is 256 MiB.
	Prefetch int64
	// Workers is how many row groups are decoded at the same time. The default is
	// the number of processors that Go uses.
	Workers int
	// Allocator gives the memory of the records that are delivered. The default
	// is the Go heap.
	Allocator memory.Allocator
}

// Loader is the plan for reading one version, again and again: its shards for
// any number of ranks, epoch by epoch. It is a plain value, holds no rows, and
// is safe for concurrent use.
type Loader struct {
	version *dataset.Version
	opts    Options // With the defaults filled in.
	schema  *arrow.Schema
	columns []string        // To read: those of the schema, then those of the key.
	key     []int           // Of the split, among the columns.
	groups  []dataset.Group // In the order that is permuted.
	id      [planBytes]byte
}

// Shard names the part of one rank in one epoch.
type Shard struct {
	// Epoch is the number of the epoch; with Shuffle each has its own order. The
	// first is 0, the default.
	Epoch int64
	// Rank is which of World equal consumers this one is, from 0. World 0, the
	// default, is 1: one consumer of all rows.
	Rank, World int
}

// New plans the reading of a version. It reads no rows, only where the row
// groups are. ErrInvalid lists every fault of the options, ErrUnsupported says
// which column cannot be shuffled.
func New(ctx context.Context, v *dataset.Version, opts *Options) (*Loader, error) {
	if v == nil {
		return nil, fmt.Errorf("loader: the version is nil: %w", ErrInvalid)
	}
	subject := fmt.Sprintf("loader: %q version %d", v.Dataset, v.Number)
	l := &Loader{version: v}
	if opts != nil {
		l.opts = *opts
		l.opts.Columns = slices.Clone(opts.Columns)
		if opts.Split != nil {
			split := *opts.Split
			split.Key = slices.Clone(split.Key)
			l.opts.Split = &split
		}
	}
	if err := l.resolve(subject); err != nil {
		return nil, err
	}
	for _, f := range l.schema.Fields() {
		if !gatherable(f.Type) {
			return nil, fmt.Errorf("%s: column %q is %s, whose rows cannot be put in another order: leave it out: %w", subject, f.Name, f.Type, ErrUnsupported)
		}
	}
	v, err := v.Load(ctx) // One from a log has no files yet.
	if err != nil {
		return nil, err
	}
	l.version = v
	groups, err := v.Groups(ctx)
	if err != nil {
		return nil, err
	}
	l.groups = slices.Clone(groups)
	if l.opts.Shuffle {
		// Equal content has an equal order, in whatever order it was committed.
		slices.SortFunc(l.groups, func(a, b dataset.Group) int {
			return cmp.Or(strings.Compare(l.name(a), l.name(b)), cmp.Compare(a.Index, b.Index))
		})
	}
	l.identify()
	return l, nil
}

func (l *Loader) resolve(subject string) error {
	o := &l.opts
	have := l.version.Schema()
	var f errs.Faults
	limit := func(what string, n *int, byDefault, most int) {
		f.Check(0 <= *n && *n <= most, "%s is %d, want 0 to %d", what, *n, most)
		*n = cmp.Or(*n, byDefault)
	}
	limit("window", &o.Window, defaultWindow, maxWindow)
	limit("batch rows", &o.BatchRows, defaultBatchRows, maxBatch)
	limit("workers", &o.Workers, runtime.GOMAXPROCS(0), 1<<10)
	f.Check(o.Prefetch >= -1, "prefetch is %d, want -1, 0 or more", o.Prefetch)
	o.Prefetch = cmp.Or(o.Prefetch, defaultPrefetch)
	if o.Allocator == nil {
		o.Allocator = memory.DefaultAllocator
	}
	f.Check(!o.Even || (o.Split == nil && o.Where.IsZero()), "even shards need the number of rows, which a filter or a split does not tell")
	if _, err := o.Where.Bind(have); err != nil {
		f.Addf("%v", err)
	}
	if o.Split != nil {
		o.Split.check(have, &f)
	}

	l.columns = o.Columns
	if len(l.columns) == 0 {
		for _, field := range have.Fields() {
			l.columns = append(l.columns, field.Name)
		}
	}
	var fields []arrow.Field
	at := map[string]int{}
	for i, name := range l.columns {
		found, _ := have.FieldsByName(name)
		f.Check(len(found) == 1, "there is no column %q", name)
		_, twice := at[name]
		f.Check(!twice, "column %q is asked for twice", name)
		at[name] = i
		if len(found) == 1 {
			fields = append(fields, found[0])
		}
	}
	l.schema = arrow.NewSchema(fields, nil)
	if o.Split != nil {
		l.columns = slices.Clip(l.columns)
		for _, name := range o.Split.Key {
			if _, ok := at[name]; !ok {
				at[name] = len(l.columns)
				l.columns = append(l.columns, name)
			}
			l.key = append(l.key, at[name])
		}
	}
	return f.Err(subject)
}

// name is what a group's file is called by its content.
func (l *Loader) name(g dataset.Group) string {
	f := l.version.Files[g.File]
	return cmp.Or(f.SHA256, f.Path)
}

// identify computes what binds a token to this loader.
func (l *Loader) identify() {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "millwright loader 1\n%s\n%q\n%v %d %d %v\n", l.version.Digest, l.opts.Where.String(), l.opts.Shuffle, l.opts.Seed, l.opts.Window, l.opts.Even)
	if l.opts.Split != nil {
		_, _ = fmt.Fprintf(h, "%s\n", l.opts.Split)
	}
	for _, g := range l.groups {
		_, _ = fmt.Fprintf(h, "%s %d %d\n", l.name(g), g.Index, g.Rows)
	}
	copy(l.id[:], h.Sum(nil))
}

// Schema is the schema of the records.
func (l *Loader) Schema() *arrow.Schema { return l.schema }

// Version is the version that is read.
func (l *Loader) Version() *dataset.Version { return l.version }

// Shard starts at the first row of a shard.
func (l *Loader) Shard(s Shard) (*Stream, error) {
	world := cmp.Or(s.World, 1)
	var f errs.Faults
	f.Check(s.Epoch >= 0 && s.Epoch <= maxCount, "epoch is %d, want 0 or more", s.Epoch)
	f.Check(0 < world && world <= maxWorld, "there are %d ranks, want 1 to %d", world, maxWorld)
	f.Check(0 <= s.Rank && s.Rank < max(world, 1), "rank is %d of %d, want 0 to %d", s.Rank, world, world-1)
	if err := f.Err("loader: shard"); err != nil {
		return nil, err
	}
	return l.stream(Token{plan: l.id, epoch: uint64(s.Epoch), rank: uint64(s.Rank), world: uint64(world)}), nil
}

// Resume goes on where a stream stood when its token was taken: at the row after
// the last one of the record that had been delivered. It costs the same wherever
// that is; the rows before are not read, but for those of the window.
//
// ErrConflict when the token belongs to another version or to other settings.
func (l *Loader) Resume(t Token) (*Stream, error) {
	if err := l.check(t); err != nil {
		return nil, fmt.Errorf("loader: resume: %w", err)
	}
	return l.stream(t), nil
}

func (l *Loader) check(t Token) error {
	if t == (Token{}) {
		return fmt.Errorf("the token is empty: %w", ErrInvalid)
	}
	if t.plan != l.id {
		return fmt.Errorf("token %s is not of %q version %d (%s) with this filter, split, seed, shuffle, window and even: %w", t, l.version.Dataset, l.version.Number, l.version.Digest, ErrConflict)
	}
	if t.base > uint64(len(l.groups)) {
		return fmt.Errorf("token %s begins after the last group: %w", t, ErrInvalid)
	}
	if p := l.plan(t); t.window > uint64(p.windows()) {
		return fmt.Errorf("token %s is in window %d of %d: %w", t, t.window, p.windows(), ErrInvalid)
	}
	return nil
}

// plan is the plan of the token's shard.
func (l *Loader) plan(t Token) *plan {
	order := l.groups
	if l.opts.Shuffle {
		order = slices.Clone(order)
		permute(order, generator(l.opts.Seed, int64(t.epoch), ofGroups, len(order)))
	}
	return newPlan(order, int(t.base), int(t.rank), int(t.world), l.opts.Window)
}

// Reshard lets another number of ranks finish an epoch. It takes the tokens of
// all ranks of the world that ended, and returns those of the new world, by
// rank. The new world begins at the first group that some old rank had not
// finished, so no row is left out; what faster ranks had already got of the
// groups from there on is delivered again: about a window a rank when they ran
// in step.
func (l *Loader) Reshard(world int, tokens ...Token) ([]Token, error) {
	if err := l.complete(world, tokens); err != nil {
		return nil, err
	}
	slowest := slices.MinFunc(tokens, func(a, b Token) int { return cmp.Compare(a.window, b.window) })
	done := l.plan(slowest).done(int(slowest.window))
	out := make([]Token, world)
	for rank := range out {
		out[rank] = Token{plan: l.id, epoch: slowest.epoch, rank: uint64(rank), world: uint64(world), base: uint64(done)}
	}
	return out, nil
}

// complete checks that the tokens are those of one world.
func (l *Loader) complete(world int, tokens []Token) error {
	var f errs.Faults
	f.Check(0 < world && world <= maxWorld, "there shall be %d ranks, want 1 to %d", world, maxWorld)
	f.Check(len(tokens) > 0, "there are no tokens")
	seen := map[uint64]bool{}
	for _, t := range tokens {
		if err := l.check(t); err != nil {
			return fmt.Errorf("loader: reshard: %w", err)
		}
		f.Check(t.epoch == tokens[0].epoch && t.world == tokens[0].world && t.base == tokens[0].base,
			"the token of rank %d is of epoch %d of %d ranks, that of rank %d is of epoch %d of %d ranks",
			t.rank, t.epoch, t.world, tokens[0].rank, tokens[0].epoch, tokens[0].world)
		f.Check(!seen[t.rank], "there are two tokens of rank %d", t.rank)
		seen[t.rank] = true
	}
	if len(tokens) > 0 {
		f.Check(uint64(len(seen)) == tokens[0].world, "there are tokens of %d ranks, want all %d", len(seen), tokens[0].world)
	}
	return f.Err("loader: reshard")
}
