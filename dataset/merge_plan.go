package dataset

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
)

// filePlan is a three-way merge by file, relative to our side.
type filePlan struct {
	add    []*dataFile // Of theirs, to bring in.
	remove []*dataFile // Of ours, that they removed.
	both   []string    // Paths of the ancestor's files that both sides removed.
	same   bool        // Both sides have the same files.

	// What the two sides changed, for a merge by row: the files of each side
	// that are not in all three.
	region [mergeSides][]*dataFile
}

// planFiles compares three sets of files. A path names the same bytes wherever
// it is in a dataset. A file that both sides added, or both removed, counts
// once.
func planFiles(base, ours, theirs []*dataFile) *filePlan {
	in := map[string]*[mergeSides]bool{}
	for i, files := range [mergeSides][]*dataFile{base, ours, theirs} {
		for _, f := range files {
			if in[f.Path] == nil {
				in[f.Path] = &[mergeSides]bool{}
			}
			in[f.Path][i] = true
		}
	}
	p := &filePlan{same: true}
	for i, files := range [mergeSides][]*dataFile{base, ours, theirs} {
		for _, f := range files {
			has := in[f.Path]
			if has[ourSide] != has[theirSide] {
				p.same = false
			}
			// A file that both sides have is no difference between them, and
			// its rows are in neither's changes.
			if !has[ourSide] || !has[theirSide] {
				p.region[i] = append(p.region[i], f)
			}
			switch {
			case i == baseSide && !has[ourSide] && !has[theirSide]:
				p.both = append(p.both, f.Path)
			case i == ourSide && has[baseSide] && !has[theirSide]:
				p.remove = append(p.remove, f)
			case i == theirSide && !has[baseSide] && !has[ourSide]:
				p.add = append(p.add, f)
			}
		}
	}
	return p
}

// byFile tells whether the changes can be joined file by file: no file was
// replaced on both sides. Where both only dropped whole files, the rows of a
// file that both dropped are gone either way.
func (p *filePlan) byFile() bool {
	if len(p.both) == 0 || p.same {
		return true
	}
	return len(p.add) == 0 && len(p.region[ourSide]) == len(p.remove)
}

// mergeSchemas joins the changes of both sides, column by column. faults lists
// the columns that both changed differently.
func mergeSchemas(base, ours, theirs *arrow.Schema) (merged *arrow.Schema, faults []string) {
	var fields []arrow.Field
	take := func(name string) {
		b, inBase := field(base, name)
		o, inOurs := field(ours, name)
		t, inTheirs := field(theirs, name)
		same := func(x, y arrow.Field, inX, inY bool) bool {
			return inX == inY && (!inX || x.Nullable == y.Nullable && arrow.TypeEqual(x.Type, y.Type))
		}
		switch {
		case same(o, t, inOurs, inTheirs), same(t, b, inTheirs, inBase):
			if inOurs {
				fields = append(fields, o)
			}
		case same(o, b, inOurs, inBase):
			if inTheirs {
				fields = append(fields, t)
			}
		default:
			faults = append(faults, fmt.Sprintf("both sides changed column %q: %s here and %s there", name, describeField(o, inOurs), describeField(t, inTheirs)))
		}
	}
	for _, f := range ours.Fields() {
		take(f.Name)
	}
	for _, f := range theirs.Fields() {
		if _, ok := field(ours, f.Name); !ok {
			take(f.Name)
		}
	}
	return arrow.NewSchema(fields, nil), faults
}

func describeField(f arrow.Field, there bool) string {
	switch {
	case !there:
		return "removed"
	case f.Nullable:
		return f.Type.String()
	}
	return f.Type.String() + " without nulls"
}
