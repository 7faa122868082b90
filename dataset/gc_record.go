package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// sweptFolder holds what collections deleted, so that a file which is gone on
// purpose can be told from one that was lost.
const sweptFolder = "_mlops/collected/"

// sweptRecord says which data files a list took away. It is written before the
// first of them is deleted, and stays.
type sweptRecord struct {
	Format int       `json:"format"` // 1.
	List   string    `json:"list"`   // Id of the list of condemned files.
	Time   time.Time `json:"time"`   // By the store.
	// Heads are the newest entries of the logs that the collection looked at: a
	// file that a later version brought in again is none that it took away.
	Heads map[string]int64 `json:"heads"`
	Files []string         `json:"files"` // Names without folder and extension, sorted.
}

// sweptName is how a record names a data file, "" for anything else.
func sweptName(key string) string {
	if !ownFile.MatchString(key) {
		return ""
	}
	return strings.TrimSuffix(path.Base(key), ".parquet")
}

// recordSweep notes what is about to be deleted, under a name of its own: calls
// that race, or repeat one that was killed, may have other files to delete.
func (c *collector) recordSweep(ctx context.Context, l listedAt) error {
	r := &sweptRecord{Format: 1, List: l.ID, Time: c.now.UTC(), Heads: c.heads}
	for _, key := range l.Objects {
		if name := sweptName(key); name != "" && !c.used[key] {
			r.Files = append(r.Files, name)
		}
	}
	if len(r.Files) == 0 {
		return nil
	}
	slices.Sort(r.Files)
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.d.put(ctx, sweptFolder+newID()+".json", body)
}

func (d *Dataset) readSweep(ctx context.Context, key string) (*sweptRecord, error) {
	data, err := blob.ReadAll(ctx, d.store, key, maxListBytes)
	if err != nil {
		return nil, err
	}
	r, err := parseSweep(data)
	if err != nil {
		return nil, fmt.Errorf("the record %s of what was collected is damaged: %w", key, err)
	}
	return r, nil
}

func parseSweep(data []byte) (*sweptRecord, error) {
	r := &sweptRecord{}
	if err := json.Unmarshal(bytes.TrimSpace(data), r); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if r.Format != 1 {
		return nil, fmt.Errorf("it has format %d, this release reads 1: %w", r.Format, ErrUnsupported)
	}
	for _, name := range r.Files {
		if sweptName(dataFolder+name+".parquet") == "" {
			return nil, fmt.Errorf("it names %q, which is no data file: %w", name, ErrInvalid)
		}
	}
	return r, nil
}

// sweeps reads all records: by the path of a file, the newest entries of both
// logs that the last collection saw which took it away. f is told of records that
// cannot be read.
func (d *Dataset) sweeps(ctx context.Context, f func(key string, fault error)) (map[string][2]int64, error) {
	var keys []string
	for info, err := range d.store.List(ctx, sweptFolder) {
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(info.Name(), ".json") {
			keys = append(keys, info.Name())
		}
	}
	gone := map[string][2]int64{}
	for _, key := range keys {
		r, err := d.readSweep(ctx, key)
		switch {
		case errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsupported):
			f(key, err)
			continue
		case err != nil:
			return nil, err
		}
		heads := [2]int64{-1, -1}
		for i, name := range []string{mainLog, refsLog} {
			if n, ok := r.Heads[name]; ok {
				heads[i] = n
			}
		}
		for _, name := range r.Files {
			p := dataFolder + name + ".parquet"
			was, ok := gone[p]
			if !ok {
				was = heads
			}
			gone[p] = [2]int64{max(was[0], heads[0]), max(was[1], heads[1])}
		}
	}
	return gone, nil
}
