package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// headFile is the file of a branch's head, for tools that do not read the refs
// log. The log is what counts; the file is written behind it, as well as can
// be.
type headFile struct {
	Format  int       `json:"format"` // 1.
	Name    string    `json:"name"`
	Table   string    `json:"table"`
	Version int64     `json:"version"`
	Digest  string    `json:"digest"`
	Commit  string    `json:"commit"`
	Time    time.Time `json:"time"`
}

func headKey(name string) string { return headFolder + name + ".json" }

// noteHead writes the head of a branch down, unless a later one is there: by
// compare-and-swap where the store has it, so that writers cannot overtake each
// other. That it fails is no failure of the commit that made the version.
func (d *Dataset) noteHead(ctx context.Context, v *Version) {
	key := headKey(v.Branch)
	body, err := json.Marshal(headFile{1, v.Branch, refsTable, v.Number, v.Digest, v.Commit, v.Time})
	for attempt := 0; err == nil && attempt < storeAttempts; attempt++ {
		data, tag, readErr := blob.ReadTagged(ctx, d.store, key, maxRefBytes)
		if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
			return
		}
		var there headFile
		if json.Unmarshal(data, &there) == nil && there.Format == 1 && there.Version >= v.Number {
			return
		}
		_, err := blob.Swap(ctx, d.store, key, bytes.NewReader(body), int64(len(body)), tag)
		if errors.Is(err, blob.ErrUnsupported) {
			_ = d.put(ctx, key, body)
		}
		if !errors.Is(err, blob.ErrConflict) {
			return
		}
	}
}

// forgetHead removes the file of a branch that was deleted.
func (d *Dataset) forgetHead(ctx context.Context, name string) {
	_ = d.store.Delete(ctx, headKey(name))
}
