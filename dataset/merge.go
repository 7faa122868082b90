package dataset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
	"github.com/millwright-ml/millwright/dataset/internal/rowsort"
)

// mergeAttempts is how often a merge is worked out again because the branch
// moved meanwhile.
const mergeAttempts = 50

// errMoved tells that the branch is not where the merge was worked out.
var errMoved = errors.New("the branch moved")

// Merge brings the changes of a version, of any branch, into this one, and
// returns the version that has both. What both lines changed is told by their
// newest common ancestor.
//
// When the branch did not change since then, it simply gets the content of from.
// Otherwise columns and properties are merged by name, and rows by file: files
// that one side added or removed are added or removed. With a Key, rows that
// both sides added or changed are found and merged one by one: the files of this
// branch that hold a row which changes are written anew, the others stay, and rows
// that this branch does not have come behind, sorted by the key. When the changes
// take more than a quarter of MergeOptions.Memory, all files that the sides do not
// share are joined into new ones, sorted by the key.
// What does not go together is a *MergeConflict, and nothing is committed.
//
// The rows that come in are held against the expectations of this branch, and
// against those of Commit: a branch may take what it likes, and main only what
// it expects. A merge that fails them is a *ValidationError.
//
// When the branch has all changes of from already, its newest version is
// returned and no new one is made.
func (b *Branch) Merge(ctx context.Context, from *Version, opts *MergeOptions) (*Version, error) {
	subject := b.subject("merge into")
	o, err := opts.resolve(subject)
	if err != nil {
		return nil, err
	}
	switch {
	case from == nil:
		return nil, fmt.Errorf("%s: the version is nil: %w", subject, ErrInvalid)
	case from.Dataset != b.dataset.name:
		return nil, fmt.Errorf("%s: the version is of %q: %w", subject, from.Dataset, ErrInvalid)
	}
	commit := CommitOptions{}
	if o.Commit != nil {
		commit = *o.Commit
	}
	if commit.Message == "" {
		commit.Message = fmt.Sprintf("merge %s into %s", refOf(from), b.name)
	}
	if !commit.Where.IsZero() {
		return nil, fmt.Errorf("%s: Commit.Where is for Overwrite: a merge takes whole versions: %w", subject, ErrInvalid)
	}
	if err := commit.validate(subject); err != nil {
		return nil, err
	}
	o.Commit = &commit
	for attempt := 1; ; attempt++ {
		v, err := b.merge(ctx, from, &o)
		if errors.Is(err, errMoved) && attempt < mergeAttempts {
			continue
		}
		conflict := (*MergeConflict)(nil)
		switch {
		case err == nil:
			return v, nil
		case errors.As(err, &conflict):
			return nil, err
		case errors.Is(err, errMoved):
			err = fmt.Errorf("other writers were faster %d times: %w", attempt, ErrConflict)
		}
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
}

func (b *Branch) merge(ctx context.Context, from *Version, o *MergeOptions) (*Version, error) {
	from, err := from.Load(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := b.newest(ctx)
	if err != nil {
		return nil, err
	}
	base, err := b.dataset.mergeBase(ctx, ours, from)
	if err != nil {
		return nil, err
	}
	for _, v := range []*Version{ours, from} {
		if v.Digest == "" {
			return nil, fmt.Errorf("%s holds files of another writer: Adopt them first: %w", refOf(v), ErrUnsupported)
		}
	}
	if sameVersion(base, from) || sameContent(base, from) {
		return ours, nil
	}
	m := &merger{b: b, o: o, base: base, ours: ours, theirs: from}
	ch, err := m.change(ctx)
	if err != nil {
		return nil, err
	}
	ch.parents = []parent{parentOf(from)}
	if ch.includes, err = b.dataset.joined(ctx, ours, from); err != nil {
		return nil, err
	}
	return b.commit(ctx, o.Commit, func(_ context.Context, tip *snapshot) (*change, error) {
		if tip == nil || tip.version != ours.Number {
			return nil, errMoved
		}
		return ch, nil
	})
}

func sameVersion(a, b *Version) bool { return a.log == b.log && a.Number == b.Number }

// sameContent tells whether two versions cannot be told apart but by their
// history.
func sameContent(a, b *Version) bool {
	return a.Digest == b.Digest && a.Digest != "" && sameMetaData(a.snap.metaData, b.snap.metaData)
}

// parentOf names a version as a parent.
func parentOf(v *Version) parent {
	p := parent{Commit: v.Commit, Version: v.Number}
	if v.log.root != "" {
		p.Log = refsLog
	}
	return p
}

// merger works out one merge.
type merger struct {
	b                  *Branch
	o                  *MergeOptions
	base, ours, theirs *Version
}

func (m *merger) change(ctx context.Context) (*change, error) {
	ch := &change{
		operation: "MERGE", dataChange: true,
		parameters: map[string]any{"from": refOf(m.theirs), "base": refOf(m.base)},
	}
	if sameContent(m.base, m.ours) {
		ch.parameters["mode"] = "fast-forward"
		ch.removes, ch.adds = m.ours.snap.into(m.theirs.snap)
		if meta := m.theirs.snap.metaData; !sameMetaData(m.ours.snap.metaData, meta) {
			ch.metaData = reidentified(meta, m.ours.snap.metaData)
		}
		return ch, m.audit(ctx, ch, newTo(m.ours.snap, m.theirs.snap.files), m.theirs.schema)
	}
	merged, err := m.metaData(ch)
	if err != nil {
		return nil, err
	}
	plan := planFiles(m.base.snap.files, m.ours.snap.files, m.theirs.snap.files)
	ch.parameters["mode"] = "files"
	if len(m.o.Key) > 0 && !plan.same {
		done, err := m.byRow(ctx, ch, plan, merged)
		if done || err != nil {
			return ch, err
		}
	} else if !plan.byFile() {
		conflict := m.conflict()
		conflict.Files = plan.both
		return nil, conflict
	}
	ch.removes = plan.remove
	last := int64(0)
	for _, f := range m.base.snap.files {
		last = max(last, f.order)
	}
	for _, f := range plan.add {
		a := f.draft()
		if a.order > last {
			a.order = 0 // Appended by them: behind what we appended.
		}
		ch.adds = append(ch.adds, a)
	}
	return ch, m.audit(ctx, ch, plan.add, merged)
}

// into is the change of files that makes one state of another. A file that stays
// and only moves among the rows is taken out and put back.
func (s *snapshot) into(want *snapshot) (removes []*dataFile, adds []draft) {
	removes, added := differences(s.files, want.files)
	back := make(map[string]bool, len(added))
	for _, f := range added {
		back[f.Path] = true
		adds = append(adds, f.draft())
	}
	for _, f := range s.files {
		if back[f.Path] {
			removes = append(removes, f)
		}
	}
	return removes, adds
}

func (m *merger) conflict() *MergeConflict {
	return &MergeConflict{Dataset: m.b.dataset.name, Base: refOf(m.base), Ours: refOf(m.ours), Theirs: refOf(m.theirs)}
}

// metaData joins the schemas and the properties of both sides, and returns the
// schema of the merged rows.
func (m *merger) metaData(ch *change) (*arrow.Schema, error) {
	base, ours, theirs := m.base.snap.metaData, m.ours.snap.metaData, m.theirs.snap.metaData
	schema, faults := mergeSchemas(m.base.schema, m.ours.schema, m.theirs.schema)
	properties := map[string]string{}
	for key := range joinedKeys(base.Configuration, ours.Configuration, theirs.Configuration) {
		b, inBase := base.Configuration[key]
		o, inOurs := ours.Configuration[key]
		t, inTheirs := theirs.Configuration[key]
		switch {
		case o == t && inOurs == inTheirs, t == b && inTheirs == inBase:
			if inOurs {
				properties[key] = o
			}
		case o == b && inOurs == inBase:
			if inTheirs {
				properties[key] = t
			}
		default:
			faults = append(faults, fmt.Sprintf("both sides changed the property %q", key))
		}
	}
	if len(faults) > 0 {
		conflict := m.conflict()
		conflict.Columns = faults
		return nil, conflict
	}
	text, problems := delta.SchemaString(schema)
	if len(problems) > 0 {
		return nil, fmt.Errorf("the merged schema: %s: %w", strings.Join(problems, "; "), ErrUnsupported)
	}
	next := *ours
	next.Configuration = properties
	if text != m.ours.snap.schemaString {
		next.SchemaString = text
	}
	if !sameMetaData(ours, &next) {
		ch.metaData = &next
	}
	return schema, nil
}

func joinedKeys(all ...map[string]string) map[string]bool {
	out := map[string]bool{}
	for _, m := range all {
		for key := range m {
			out[key] = true
		}
	}
	return out
}

// reidentified is what a table says about itself, under the identity of another:
// each log keeps its own.
func reidentified(m, identity *delta.MetaData) *delta.MetaData {
	out := *m
	out.ID, out.CreatedTime, out.Configuration = identity.ID, identity.CreatedTime, maps.Clone(m.Configuration)
	return &out
}

// byRow merges the rows of the files that the sides do not share. done is false
// when no row was changed on both sides and the files can stay as they are.
func (m *merger) byRow(ctx context.Context, ch *change, plan *filePlan, merged *arrow.Schema) (done bool, err error) {
	union, faults := unionSchema(m.base.schema, m.theirs.schema, m.ours.schema, merged)
	if len(faults) > 0 {
		return false, fmt.Errorf("%s: %w", strings.Join(faults, "; "), ErrUnsupported)
	}
	codec, faults := rowsort.NewCodec(union, m.o.Key)
	if len(faults) > 0 {
		return false, fmt.Errorf("%s: %w", strings.Join(faults, "; "), ErrInvalid)
	}
	sides, err := sortSides(ctx, codec, m.o.Memory, m.o.TempDir, []side{
		{m.base, plan.region[baseSide]}, {m.ours, plan.region[ourSide]}, {m.theirs, plan.region[theirSide]},
	})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closeSides(sides)) }()
	found, err := judge(ctx, codec, sides, m.o)
	if err != nil {
		return false, err
	}
	if found.conflicts > 0 && m.o.Prefer == "" {
		conflict := m.conflict()
		conflict.Count, conflict.Rows = found.conflicts, found.shown
		return false, conflict
	}
	if !found.overlap && plan.byFile() {
		return false, nil
	}
	ch.parameters["mode"] = "rows"
	w := &rowMerge{merger: m, codec: codec, sides: sides, merged: merged, found: found, ours: plan.region[ourSide]}
	return true, w.run(ctx, ch)
}
