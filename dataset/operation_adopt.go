package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	memory18 "github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// Adopt takes the files that another engine appended to main under Millwright's
// care: each is copied to where its digest names it, and the copy takes its
// place in a version with the same rows. From then on the version has a digest,
// its files are checked when they are read, and branches can be made from it.
// Every other write does so first, by itself.
//
// Without such files Adopt returns the newest version. Files whose rows cannot be
// told from the file alone (partitions, deletion vectors) are refused with an
// ErrUnsupported that names them.
func (b *Branch) Adopt(ctx context.Context, opts *CommitOptions) (*Version, error) {
	return b.operate(ctx, "adopt files of", opts, func(opts *CommitOptions) (*Version, error) {
		tip, v, err := b.ready(ctx, opts)
		if v != nil || err != nil {
			return v, err
		}
		return b.dataset.version(ctx, b.log, tip)
	})
}

// adopt gives the files of other writers names of their own, and returns the
// state after that.
func (b *Branch) adopt(ctx context.Context, tip *snapshot) (*snapshot, error) {
	for tip.foreign > 0 {
		ch := &change{operation: "ADOPT", dataChange: false}
		for _, f := range tip.files {
			if f.SHA256 != "" {
				continue
			}
			copied, err := b.dataset.adoptFile(ctx, f)
			if err != nil {
				return nil, fmt.Errorf("file %s of another writer: %w", f.Path, err)
			}
			ch.removes = append(ch.removes, f)
			ch.adds = append(ch.adds, copied)
		}
		_, err := b.commit(ctx, &CommitOptions{Message: "adopted files of another writer"}, b.fixed(tip, ch))
		if conflict := (*ConflictError)(nil); err != nil && !errors.As(err, &conflict) {
			return nil, err
		}
		// After a conflict somebody else did the work, or took the files away.
		if tip, err = b.current(ctx); err != nil {
			return nil, err
		}
		if err := errors.Join(tip.bad, tip.writable); err != nil {
			return nil, err
		}
	}
	return tip, nil
}

// adoptFile copies one file to where its digest names it.
func (d *Dataset) adoptFile(ctx context.Context, f *dataFile) (draft, error) {
	if f.refused {
		return draft{}, f.fault
	}
	body, err := d.store.Get(ctx, f.Path, 0, -1)
	if err != nil {
		return draft{}, err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return draft{}, err
	}
	rows, err := d.countRows(ctx, f.Path, size)
	if err != nil {
		return draft{}, err
	}
	a := draft{File: File{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size, Rows: rows}, tags: maps.Clone(f.tags), order: f.order, stats: f.stats}
	switch {
	case f.fault == nil && rows != f.Rows:
		return draft{}, fmt.Errorf("the log promises %d rows and the file has %d: %w", f.Rows, rows, ErrInvalid)
	case f.fault != nil:
		// Without statistics every reader reads the file; the number of rows is all
		// that this package needs.
		stats, err := json.Marshal(map[string]int64{"numRecords": rows})
		if err != nil {
			return draft{}, err
		}
		a.stats = string(stats)
	}
	if a.Path, err = d.freshPath(ctx, a.SHA256); err != nil {
		return draft{}, err
	}
	a.written = time.Now()
	return a, d.copyFile(ctx, f.Path, a.File)
}

// countRows reads the number of rows from a file's footer.
func (d *Dataset) countRows(ctx context.Context, key string, size int64) (int64, error) {
	at, err := blob.NewReaderAt(ctx, d.store, key, size, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = at.Close() }()
	r, err := pqfile.NewReader(ctx, io.NewSectionReader(at, 0, size), pqfile.ReadOptions{BatchRows: 1, Mem: memory18.DefaultAllocator})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	defer r.Close()
	return r.NumRows(), nil
}
