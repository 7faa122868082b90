package dataset

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// maxBranches bounds the branches of a dataset, main aside. Branches take turns
// in one log, where each turn costs the difference to the branch before.
const maxBranches = 1000

// branch is main or, unchecked, a branch beside it.
func (d *Dataset) branch(name string) (*Branch, error) {
	if name == mainLog {
		return d.Branch, nil
	}
	var f errs.Faults
	checkRefName(&f, name)
	if err := f.Err(fmt.Sprintf("branch %q", name)); err != nil {
		return nil, err
	}
	return &Branch{dataset: d, name: name, log: d.refs}, nil
}

// CreateBranch starts a branch whose first version has the content of from, of
// any branch. No row and no file is copied. ErrExists when there is a branch of
// that name; the name of a deleted branch can be given again. At most 1000
// branches can be open.
func (d *Dataset) CreateBranch(ctx context.Context, name string, from *Version) (*Branch, error) {
	subject := fmt.Sprintf("dataset: create branch %q of %q", name, d.name)
	var f errs.Faults
	checkRefName(&f, name)
	f.Check(from != nil, "the version is nil")
	if from != nil {
		f.Check(from.Dataset == d.name, "the version is of %q", from.Dataset)
	}
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	b := &Branch{dataset: d, name: name, log: d.refs}
	if err := b.begin(ctx, from); err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	return b, nil
}

func (b *Branch) begin(ctx context.Context, from *Version) error {
	from, err := from.Load(ctx)
	if err != nil {
		return err
	}
	if from.Digest == "" {
		return fmt.Errorf("%s holds files of another writer: Adopt them first: %w", refOf(from), ErrUnsupported)
	}
	includes, err := b.dataset.lineageOf(ctx, from.log, from.Number)
	if err != nil {
		return err
	}
	ch := &change{
		operation: "CREATE BRANCH", parameters: map[string]any{"from": refOf(from)}, dataChange: true, begins: true,
		metaData: from.snap.metaData, parents: []parent{parentOf(from)}, includes: includes,
	}
	for _, f := range from.snap.files {
		ch.adds = append(ch.adds, f.draft())
	}
	opts := &CommitOptions{Message: fmt.Sprintf("branch %s from %s", b.name, refOf(from))}
	_, err = b.commit(ctx, opts, func(ctx context.Context, tip *snapshot) (*change, error) {
		if tip != nil {
			return nil, fmt.Errorf("the name is taken: %w", ErrExists)
		}
		if head := b.log.known(); head != nil && len(head.branches()) >= maxBranches {
			return nil, fmt.Errorf("there are %d branches already: delete some: %w", maxBranches, ErrConflict)
		}
		return ch, nil
	})
	return err
}

// OpenBranch returns a branch that exists, ErrNotFound otherwise. "main" is the
// dataset itself.
func (d *Dataset) OpenBranch(ctx context.Context, name string) (*Branch, error) {
	b, err := d.branch(name)
	if err == nil {
		_, err = b.current(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: open branch %q of %q: %w", name, d.name, err)
	}
	return b, nil
}

// Branches yields main, and then the other branches in the order of their names.
// An error ends the sequence.
func (d *Dataset) Branches(ctx context.Context) iter.Seq2[*Branch, error] {
	return func(yield func(*Branch, error) bool) {
		names, err := d.branchNames(ctx)
		if err != nil {
			yield(nil, fmt.Errorf("dataset: branches of %q: %w", d.name, err))
			return
		}
		if !yield(d.Branch, nil) {
			return
		}
		for _, name := range names {
			if !yield(&Branch{dataset: d, name: name, log: d.refs}, nil) {
				return
			}
		}
	}
}

func (d *Dataset) branchNames(ctx context.Context) ([]string, error) {
	head, err := d.refs.latest(ctx)
	if notThere(err) {
		return nil, nil
	}
	if err == nil {
		err = head.bad
	}
	if err != nil {
		return nil, err
	}
	return head.branches(), nil
}

// branches are the names of the branches that are open, sorted.
func (s *snapshot) branches() []string {
	var names []string
	for app, t := range s.txns {
		if name, ok := strings.CutPrefix(app, headTxn("")); ok && t.Version >= 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// DeleteBranch ends a branch, ErrNotFound when there is none. Its versions stay
// readable by number and by tag until a collection finds that nothing keeps
// them. Main cannot be deleted.
func (d *Dataset) DeleteBranch(ctx context.Context, name string) error {
	subject := fmt.Sprintf("dataset: delete branch %q of %q", name, d.name)
	var f errs.Faults
	checkRefName(&f, name)
	if err := f.Err(subject); err != nil {
		return err
	}
	b := &Branch{dataset: d, name: name, log: d.refs}
	opts := &CommitOptions{Message: "delete branch " + name}
	_, err := b.commit(ctx, opts, func(_ context.Context, tip *snapshot) (*change, error) {
		if tip == nil {
			return nil, ErrNotFound
		}
		return &change{operation: "DELETE BRANCH", deleted: true}, nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	d.forgetHead(ctx, name)
	return nil
}

// joined is the lineage of a merge of two versions.
func (d *Dataset) joined(ctx context.Context, ours, theirs *Version) (lineage, error) {
	a, err := d.lineageOf(ctx, ours.log, ours.Number)
	if err != nil {
		return nil, err
	}
	b, err := d.lineageOf(ctx, theirs.log, theirs.Number)
	if err != nil {
		return nil, err
	}
	alive := map[string]bool{mainLog: true}
	for _, v := range []*Version{ours, theirs} {
		alive[lineKeyOf(v.log, v.commit)] = true
	}
	head, err := d.refs.latest(ctx)
	switch {
	case notThere(err):
	case err != nil:
		return nil, err
	default:
		for _, name := range head.branches() {
			n, _ := head.headOf(name)
			c, err := d.refs.commitAt(ctx, n)
			if err != nil {
				return nil, err
			}
			alive[lineKeyOf(d.refs, c)] = true
		}
	}
	out := a.join(b, func(key string) bool { return alive[key] })
	return out, nil
}
