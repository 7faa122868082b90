package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// log measures what a table format does: commits, and opening logs, whose last
// version has as many fragments as commits.
func (b *bench) log(ctx context.Context) error {
	if b.wanted("commit of one row") {
		repeats := b.repeats
		b.repeats = 200
		err := b.each(ctx, "commit of one row", "commit", plan{Out: filepath.Join(b.dir, "commits")}, func(cores int, party string, all []figures) error {
			b.table.add("commit of one row", "ms", cores, true, party, median(cores, all)*1e3)
			return nil
		})
		b.repeats = repeats
		if err != nil {
			return err
		}
	}
	for _, versions := range []int{100, b.commits} {
		if err := b.opens(ctx, versions); err != nil {
			return err
		}
	}
	return nil
}

// opens measures a log of so many versions.
func (b *bench) opens(ctx context.Context, versions int) error {
	open, list := fmt.Sprintf("open a log of %d versions", versions), fmt.Sprintf("list %d fragments", versions)
	if !b.wanted(open) && !b.wanted(list) {
		return nil
	}
	dir := filepath.Join(b.dir, "long")
	defer os.RemoveAll(dir)
	commit, err := commits(ctx, dir)
	if err != nil {
		return err
	}
	for range versions {
		if _, err := commit(); err != nil {
			return err
		}
	}
	p := plan{Table: filepath.Join(dir, tableName)}
	repeats := b.repeats
	if b.repeats = 10; versions <= 100 {
		b.repeats = 50
	}
	defer func() { b.repeats = repeats }()
	for _, m := range []struct{ name, measure string }{{open, "open"}, {list, "list"}} {
		if !b.wanted(m.name) {
			continue
		}
		if err := b.each(ctx, m.name, m.measure, p, func(cores int, party string, all []figures) error {
			b.table.add(m.name, "ms", cores, true, party, median(cores, all)*1e3)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
