package dataset

import (
	"context"
	"io/fs"
	"path"
	"slices"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// sparseEvery is how many versions share the checkpoint that a thinned log keeps
// for them. The entries behind it are read in a few rounds.
const sparseEvery = 100

// thin deletes checkpoints that only save time on versions for which nobody
// hurries. One that is old stays when it is the newest or the one before, or the
// first of its hundred versions, or the start of a version that was kept for a
// reason of its own: a tag, an export, the age or the place among the newest. All
// others can be told from the entries, and those must be there.
func (c *collector) thin(ctx context.Context, k *keeper) error {
	for l, w := range k.walks {
		kept := k.kept[l]
		if c.opts.KeepLast == 0 {
			kept = k.named[l]
		}
		if w.bad <= w.last() {
			continue // Only a checkpoint may know what comes behind.
		}
		if err := c.thinLog(ctx, l, kept); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) thinLog(ctx context.Context, l *logbook, kept map[int64]bool) error {
	var single []int64
	infos := map[int64]fs.FileInfo{}
	for info, err := range c.d.store.List(ctx, l.root+logFolder) {
		if err != nil {
			return err
		}
		n, _, parts, ok := delta.ParseCheckpointName(path.Base(info.Name()))
		if !ok || parts != 1 {
			continue
		}
		single = append(single, n)
		infos[n] = info
	}
	slices.Sort(single)
	stay := map[int64]bool{}
	for i, n := range single {
		if i >= len(single)-2 || i == 0 || n/sparseEvery != single[i-1]/sparseEvery {
			stay[n] = true
		}
	}
	for n := range kept {
		// The start of a version is the newest checkpoint that is not newer.
		i, is := slices.BinarySearch(single, n)
		if !is {
			i--
		}
		if i >= 0 {
			stay[single[i]] = true
		}
	}
	remove := slices.DeleteFunc(single, func(n int64) bool { return stay[n] || c.now.Sub(infos[n].ModTime()) < c.rules.Grace })
	for _, n := range remove {
		c.report.Checkpoints++
		c.report.CheckpointBytes += infos[n].Size()
	}
	if !c.opts.Apply {
		return nil
	}
	if err := c.d.quiet(ctx); err != nil {
		return err
	}
	return parallel(ctx, len(remove), func(ctx context.Context, i int) error {
		return retry(ctx, func() error { return c.d.store.Delete(ctx, l.key(delta.CheckpointName(remove[i]))) })
	})
}
