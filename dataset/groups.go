package dataset

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	// tagGroups lists the rows of each row group of a file.
	tagGroups = "millwright.groups"
	// tagTail says where the end of a file starts, behind its last value, and what
	// its SHA-256 is. That end holds the SHA-256 of every column chunk, so that any
	// part of the file can be checked by itself.
	tagTail = "millwright.tail"
)

// maxGroups bounds the row groups of one file.
const maxGroups = 1 << 20

// Group is one row group of one file of a version: the unit in which a table is
// dealt out to workers.
type Group struct {
	File  int   // Index in Version.Files.
	Index int   // Of the row group in the file.
	Rows  int64 // Of the row group.
}

// Groups are the row groups of the version, in the order of the rows. They are
// in the log for files that this package wrote, and cost one read for each file
// of another writer.
func (v *Version) Groups(ctx context.Context) ([]Group, error) {
	full, err := v.Load(ctx)
	if err != nil {
		return nil, err
	}
	per := make([][]int64, len(full.live))
	err = parallel(ctx, len(full.live), func(ctx context.Context, i int) (err error) {
		per[i], err = v.dataset.groupsOf(ctx, full.live[i])
		return err
	})
	if err != nil {
		return nil, full.readError(err)
	}
	var out []Group
	for i, rows := range per {
		for k, n := range rows {
			out = append(out, Group{File: i, Index: k, Rows: n})
		}
	}
	return out, nil
}

// groupsOf are the rows of the row groups of a file.
func (d *Dataset) groupsOf(ctx context.Context, f *dataFile) ([]int64, error) {
	if f.fault != nil {
		return nil, fmt.Errorf("file %s: %w", f.Path, f.fault)
	}
	if rows, ok := parseGroups(f.tags[tagGroups], f.Rows); ok {
		return rows, nil
	}
	file, _, err := d.openWhole(ctx, f)
	if err != nil {
		return nil, err
	}
	rows := make([]int64, file.Groups())
	for i := range rows {
		rows[i] = file.Rows(i)
	}
	return rows, nil
}

func formatGroups(rows []int64) string {
	var b strings.Builder
	for i, n := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(n, 10))
	}
	return b.String()
}

// parseGroups reads tagGroups; ok is false when it is not there, or does not
// add up to the rows of the file.
func parseGroups(s string, total int64) (rows []int64, ok bool) {
	if s == "" || len(s) > 20*maxGroups {
		return nil, false
	}
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 0 || n > total || len(rows) == maxGroups {
			return nil, false
		}
		rows = append(rows, n)
		total -= n
	}
	return rows, total == 0
}

// ReadGroups returns the rows of the given row groups, in the order given. Each
// group is checked and delivered as Read does it.
func (v *Version) ReadGroups(ctx context.Context, groups []Group, opts *ReadOptions) (array.RecordReader, error) {
	full, err := v.Load(ctx)
	if err != nil {
		return nil, err
	}
	plan, f := full.plan(opts)
	var runs []run
	for i, g := range groups {
		if g.File < 0 || g.File >= len(full.live) || g.Index < 0 {
			f.Addf("group %d is row group %d of file %d, the version has %d files", i, g.Index, g.File, len(full.live))
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].file == full.live[g.File] && runs[n-1].groups[len(runs[n-1].groups)-1]+1 == g.Index {
			runs[n-1].groups = append(runs[n-1].groups, g.Index)
			continue
		}
		runs = append(runs, run{file: full.live[g.File], groups: []int{g.Index}})
	}
	return plan.reader(ctx, runs, f)
}

// plan resolves the options of a read.
func (v *Version) plan(opts *ReadOptions) (*readPlan, errs.Faults) {
	return newPlan(v, opts)
}
