package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/collect"
)

const (
	gcFolder = "_mlops/gc/"
	gcClock  = gcFolder + "clock"

	// maxListBytes bounds one list of condemned objects.
	maxListBytes = 64 << 20
)

// gcFile is the name of a list, or of the note that it was swept.
var gcFile = regexp.MustCompile(`^_mlops/gc/([0-9a-f]{32})\.(json|swept)$`)

// gcList is one list of condemned objects. It is written once and never
// changed: its age is that of its file, by the clock of the store.
type gcList struct {
	Format  int       `json:"format"` // 1.
	ID      string    `json:"id"`
	Time    time.Time `json:"time"` // For people.
	Erase   bool      `json:"erase,omitempty"`
	Objects []string  `json:"objects"` // Keys, relative to the dataset's folder.
	Sizes   []int64   `json:"sizes,omitempty"`
}

func gcListKey(id string) string  { return gcFolder + id + ".json" }
func gcSweptKey(id string) string { return gcFolder + id + ".swept" }

// listedAt is a list with the times of its files.
type listedAt struct {
	*gcList
	published, swept time.Time // By the store; swept is zero while it is not.
}

// ages are what the rules ask for.
func (l listedAt) ages(now time.Time) (published, swept time.Duration) {
	if swept = -1; !l.swept.IsZero() {
		swept = max(now.Sub(l.swept), 0)
	}
	return now.Sub(l.published), swept
}

// viewCache remembers the lists, which never change, and when they were read.
type viewCache struct {
	mu    sync.Mutex
	view  *collect.View
	lists map[string]*gcList
	// erases are the counts of the fences that were seen, by log.
	erases map[string]int64
}

// condemned is what the lists say. It is read again after half a lease, so that
// whoever asks has the other half to act on it.
func (d *Dataset) condemned(ctx context.Context) (*collect.View, error) {
	c := &d.seen
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.view != nil && d.catalog.rules.Relies(2*c.view.Age()) {
		return c.view, nil
	}
	view := collect.NewView()
	lists, err := d.readLists(ctx, c.lists)
	if err != nil {
		return nil, err
	}
	c.lists = make(map[string]*gcList, len(lists))
	for _, l := range lists {
		c.lists[l.ID] = l.gcList
		for _, name := range l.Objects {
			view.Add(name, l.Erase)
		}
	}
	c.view = view
	return view, nil
}

// forgetCondemned makes the next call of condemned read the lists.
func (d *Dataset) forgetCondemned() {
	d.seen.mu.Lock()
	d.seen.view = nil
	d.seen.mu.Unlock()
}

// readLists reads all lists but those that are known.
func (d *Dataset) readLists(ctx context.Context, known map[string]*gcList) ([]listedAt, error) {
	var lists []listedAt
	swept := map[string]time.Time{}
	for info, err := range d.store.List(ctx, gcFolder) {
		if err != nil {
			return nil, err
		}
		m := gcFile.FindStringSubmatch(info.Name())
		switch {
		case m == nil:
		case m[2] == "swept":
			swept[m[1]] = info.ModTime()
		default:
			lists = append(lists, listedAt{gcList: &gcList{ID: m[1]}, published: info.ModTime()})
		}
	}
	kept := lists[:0]
	for _, l := range lists {
		l.swept = swept[l.ID]
		if k := known[l.ID]; k != nil {
			l.gcList = k
		} else {
			read, err := d.readList(ctx, l.ID)
			if errors.Is(err, fs.ErrNotExist) {
				continue // Forgotten meanwhile.
			}
			if err != nil {
				return nil, err
			}
			l.gcList = read
		}
		kept = append(kept, l)
	}
	return kept, nil
}

func (d *Dataset) readList(ctx context.Context, id string) (*gcList, error) {
	data, err := blob.ReadAll(ctx, d.store, gcListKey(id), maxListBytes)
	if err != nil {
		return nil, err
	}
	l, err := parseList(data)
	if err == nil && l.ID != id {
		err = fmt.Errorf("it is list %s: %w", l.ID, ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("the list of condemned files %s is damaged: %w", gcListKey(id), err)
	}
	return l, nil
}

func parseList(data []byte) (*gcList, error) {
	l := &gcList{}
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if l.Format != 1 {
		return nil, fmt.Errorf("it has format %d, this release reads 1: %w", l.Format, ErrUnsupported)
	}
	if len(l.Sizes) != 0 && len(l.Sizes) != len(l.Objects) {
		return nil, fmt.Errorf("it has %d sizes for %d objects: %w", len(l.Sizes), len(l.Objects), ErrInvalid)
	}
	for i, name := range l.Objects {
		if !collectable(name) && !l.Erase {
			return nil, fmt.Errorf("it names %q, which is never collected: %w", name, ErrInvalid)
		}
		if len(l.Sizes) > 0 && l.Sizes[i] < 0 {
			return nil, fmt.Errorf("%q has the size %d: %w", name, l.Sizes[i], ErrInvalid)
		}
	}
	return l, nil
}

// writeList publishes a list.
func (d *Dataset) writeList(ctx context.Context, l *gcList) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	err = retry(ctx, func() error {
		return d.store.Create(ctx, gcListKey(l.ID), bytes.NewReader(body), int64(len(body)))
	})
	if errors.Is(err, fs.ErrExist) {
		return nil // The id is ours: the answer to the first write was lost.
	}
	return err
}

// storeTime is the time by the clock of the store.
func (d *Dataset) storeTime(ctx context.Context) (time.Time, error) {
	if err := d.put(ctx, gcClock, []byte("{}\n")); err != nil {
		return time.Time{}, err
	}
	info, err := d.store.Stat(ctx, gcClock)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// freshPath is where new content with the digest may lie.
func (d *Dataset) freshPath(ctx context.Context, sha string) (string, error) {
	view, err := d.condemned(ctx)
	if err != nil {
		return "", err
	}
	nth := 1
	for view.Has(dataPath(sha, nth)) {
		nth++
	}
	return dataPath(sha, nth), nil
}

// certain makes sure that files which were not written since the lists were
// read are still there: no list that can delete them is older than what a
// commit relies on.
func (d *Dataset) certain(ctx context.Context, view *collect.View, drafts []draft) error {
	return parallel(ctx, len(drafts), func(ctx context.Context, i int) error {
		f := drafts[i]
		if view.Erased(f.Path) {
			return fmt.Errorf("file %s was replaced by an erase of rows: repeat the operation on the newest version: %w", f.Path, ErrConflict)
		}
		if view.Knows(f.written) {
			return nil
		}
		_, err := d.store.Stat(ctx, f.Path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("file %s is gone: it was collected: %w", f.Path, ErrNotFound)
		}
		return err
	})
}

// held makes sure that nothing is about to take the files of a version away
// that gets a new name.
func (d *Dataset) held(ctx context.Context, v *Version) error {
	s, err := v.state(ctx)
	if err != nil {
		return err
	}
	view, err := d.condemned(ctx)
	if err != nil {
		return err
	}
	drafts := make([]draft, len(s.files))
	for i, f := range s.files {
		if view.Has(f.Path) && !view.Erased(f.Path) {
			return fmt.Errorf("file %s of version %d is about to be collected: Restore brings the version back: %w", f.Path, v.Number, ErrNotFound)
		}
		drafts[i] = f.draft()
	}
	return d.certain(ctx, view, drafts)
}
