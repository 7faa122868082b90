package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

type outcome int

const (
	unknown outcome = iota
	won
	lost
)

const (
	// storeAttempts is how often a write that failed without saying whether it
	// happened is tried.
	storeAttempts = 4
	// verdictTime is how long Append looks for the outcome of a write whose
	// context has ended.
	verdictTime = 10 * time.Second
)

// commit makes the stored files a version. When another writer took the number
// it starts again behind that writer: an append is right after any other.
func (d *Dataset) commit(ctx context.Context, w *appender, opts *CommitOptions) (*Version, error) {
	id := newID()
	counted, err := json.Marshal(w.scan.Profile())
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			if err := pause(ctx, min(attempt, 10)); err != nil {
				return nil, err
			}
			if err := d.refresh(ctx); err != nil {
				return nil, err
			}
		}
		log := d.snapshot()
		head := log[len(log)-1]
		if err := errors.Join(head.bad, head.writable); err != nil {
			return nil, err
		}
		if v, err := d.repeated(log, opts); v != nil || err != nil {
			return v, err
		}
		files, err := d.place(ctx, log, w.files)
		if err != nil {
			return nil, err
		}
		entry, rec, err := d.describe(log, id, files, opts)
		if err != nil {
			return nil, err
		}
		rec.Rows, rec.Profile = w.scan.Rows(), counted
		body, err := json.Marshal(rec)
		if err != nil {
			return nil, err
		}
		if len(body) > maxRecordBytes {
			return nil, fmt.Errorf("the commit record would be %d bytes, want at most %d: append in parts: %w", len(body), maxRecordBytes, ErrInvalid)
		}
		// The record is named for this attempt alone and nobody looks for it
		// before the log names it, so replacing it is harmless.
		if err := d.put(ctx, recordKey(rec.ID), body); err != nil {
			return nil, err
		}
		result, err := d.publish(ctx, rec.Version, entry)
		if err != nil {
			return nil, err
		}
		if result == won {
			log = append(slices.Clip(log), next(log, entry, nil))
			d.learn(log)
			return d.version(log, rec.Version)
		}
		_ = d.store.Delete(ctx, recordKey(rec.ID)) // Best effort: an orphan is only clutter.
	}
}

// describe writes the log entry and the record of a commit after log.
func (d *Dataset) describe(log []*commit, id string, files []draft, opts *CommitOptions) (*delta.Entry, *record, error) {
	n := int64(len(log))
	head := log[n-1]
	now := time.Now().UTC().Truncate(time.Millisecond)
	all := live(log)
	rec := &record{
		Format: 1, ID: fmt.Sprintf("%s-%d", id, n), Dataset: d.name, Version: n, Parent: digest(head.schemaString, all), Time: now,
		Producer: d.catalog.producer, Message: opts.Message, Run: opts.Run, Tags: opts.Tags, App: opts.App, AppVersion: opts.AppVersion,
		Files: make([]File, 0, len(files)),
	}
	entry := &delta.Entry{}
	if opts.App != "" {
		entry.Txns = []delta.Txn{{AppID: opts.App, Version: opts.AppVersion, LastUpdated: now.UnixMilli()}}
	}
	for _, f := range files {
		rec.Files = append(rec.Files, f.File)
		all = append(all, f.File)
		entry.Adds = append(entry.Adds, delta.Add{
			Path: f.Path, PartitionValues: map[string]string{}, Size: f.Size, ModificationTime: now.UnixMilli(), DataChange: true, Stats: f.stats,
		})
	}
	rec.Digest = digest(head.schemaString, all)
	own, err := json.Marshal(summary{Format: 1, Digest: rec.Digest, Parent: rec.Parent, Record: rec.ID, Run: opts.Run, Tags: opts.Tags})
	if err != nil {
		return nil, nil, err
	}
	entry.CommitInfo = &delta.CommitInfo{
		Timestamp: now.UnixMilli(), Operation: "WRITE", Parameters: json.RawMessage(`{"mode":"Append"}`), EngineInfo: d.catalog.producer,
		IsBlindAppend: true, UserMetadata: opts.Message, TxnID: id, Millwright: own,
	}
	return entry, rec, nil
}

// publish writes the log entry of version n unless there is one. An error of
// the store does not say whether the write happened, and a conflict may be our
// own write whose answer was lost and that was tried again below us: both are
// settled by reading back who wrote the entry.
func (d *Dataset) publish(ctx context.Context, n int64, e *delta.Entry) (outcome, error) {
	body, err := e.Encode()
	if err != nil {
		return unknown, err
	}
	if len(body) > maxLogBytes {
		return unknown, fmt.Errorf("the log entry would be %d bytes, want at most %d: append in parts: %w", len(body), maxLogBytes, ErrInvalid)
	}
	key := logFolder + delta.LogName(n)
	for attempt := 1; ; attempt++ {
		err := d.store.Create(ctx, key, bytes.NewReader(body), int64(len(body)))
		if err == nil {
			return won, nil
		}
		author, readErr := d.author(ctx, key)
		switch {
		case readErr == nil && author == e.CommitInfo.TxnID:
			return won, nil
		case readErr == nil:
			return lost, nil
		case !errors.Is(readErr, fs.ErrNotExist):
			err = errors.Join(err, readErr)
		}
		if ctx.Err() != nil || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
			return unknown, err
		}
		if attempt == storeAttempts {
			return unknown, fmt.Errorf("log entry %s could not be written and may still appear: %w: %w", delta.LogName(n), err, ErrUnavailable)
		}
		if err := pause(ctx, attempt); err != nil {
			return unknown, err
		}
	}
}

// author reads who wrote a log entry. It outlives ctx for a little while:
// whoever cancelled still wants to know what happened.
func (d *Dataset) author(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verdictTime)
	defer cancel()
	data, err := blob.ReadAll(ctx, d.store, key, maxLogBytes)
	if err != nil {
		return "", err
	}
	e, err := delta.Parse(data)
	if err != nil || e.CommitInfo == nil {
		return "", nil // Somebody else's, certainly: ours can be read.
	}
	return e.CommitInfo.TxnID, nil
}

// place gives each file a path that the table does not have: content that it
// holds already is copied to the next free name.
func (d *Dataset) place(ctx context.Context, log []*commit, drafts []draft) ([]draft, error) {
	taken := map[string]bool{}
	for _, f := range live(log) {
		taken[f.Path] = true
	}
	placed := make([]draft, len(drafts))
	for i, f := range drafts {
		origin := f.File
		for nth := 2; taken[f.Path]; nth++ {
			f.Path = dataPath(f.SHA256, nth)
		}
		if f.Path != origin.Path {
			body, err := d.readFile(ctx, origin)
			if err != nil {
				return nil, err
			}
			if err := d.putFile(ctx, f.File, body); err != nil {
				return nil, err
			}
		}
		taken[f.Path] = true
		placed[i] = f
	}
	return placed, nil
}

// putFile stores a file under its digest. One that is there already is checked,
// and healed when it is damaged: whoever is told that the rows are stored must
// be able to read them.
func (d *Dataset) putFile(ctx context.Context, f File, body []byte) error {
	return retry(ctx, func() error {
		err := d.store.Create(ctx, f.Path, bytes.NewReader(body), f.Size)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		_, err = d.readFile(ctx, f)
		if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
			return d.store.Put(ctx, f.Path, bytes.NewReader(body), f.Size)
		}
		return err
	})
}

func (d *Dataset) put(ctx context.Context, key string, body []byte) error {
	return retry(ctx, func() error { return d.store.Put(ctx, key, bytes.NewReader(body), int64(len(body))) })
}

// retry repeats a write that may be repeated.
func retry(ctx context.Context, write func() error) error {
	for attempt := 1; ; attempt++ {
		err := write()
		if err == nil || attempt == storeAttempts || ctx.Err() != nil || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
			return err
		}
		if pause(ctx, attempt) != nil {
			return err
		}
	}
}

// pause waits a few random milliseconds, more after each attempt, so that
// racing writers part.
func pause(ctx context.Context, attempt int) error {
	t := time.NewTimer(time.Duration(1+rand.IntN(4*attempt)) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
