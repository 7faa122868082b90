package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
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
	// verdictTime is how long a commit looks for the outcome of a write whose
	// context has ended.
	verdictTime = 10 * time.Second
)

// publish writes the log entry of version n unless there is one. An error of
// the store does not say whether the write happened, and a conflict may be our
// own write whose answer was lost and that was tried again below us: both are
// settled by reading back who wrote the entry. winner is the entry of another
// writer that took the number, nil when it cannot be understood.
func (l *logbook) publish(ctx context.Context, n int64, e *delta.Entry) (result outcome, winner *delta.Entry, err error) {
	body, err := e.Encode()
	if err != nil {
		return unknown, nil, err
	}
	if len(body) > maxLogBytes {
		return unknown, nil, fmt.Errorf("the log entry would be %d bytes, want at most %d: commit in parts: %w", len(body), maxLogBytes, ErrInvalid)
	}
	key := l.key(delta.LogName(n))
	for attempt := 1; ; attempt++ {
		err := l.store.Create(ctx, key, bytes.NewReader(body), int64(len(body)))
		if err == nil {
			return won, nil, nil
		}
		winner, readErr := l.readBack(ctx, key)
		switch {
		case readErr == nil && winner != nil && winner.CommitInfo != nil && winner.CommitInfo.TxnID == e.CommitInfo.TxnID:
			return won, nil, nil
		case readErr == nil:
			return lost, winner, nil
		case !errors.Is(readErr, fs.ErrNotExist):
			err = errors.Join(err, readErr)
		}
		if ctx.Err() != nil || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
			return unknown, nil, err
		}
		if attempt == storeAttempts {
			return unknown, nil, fmt.Errorf("log entry %s could not be written and may still appear: %w: %w", key, err, ErrUnavailable)
		}
		if err := pause(ctx, attempt); err != nil {
			return unknown, nil, err
		}
	}
}

// readBack reads who wrote a log entry. It outlives ctx for a little while:
// whoever cancelled still wants to know what happened.
func (l *logbook) readBack(ctx context.Context, key string) (*delta.Entry, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verdictTime)
	defer cancel()
	data, err := blob.ReadAll(ctx, l.store, key, maxLogBytes)
	if err != nil {
		return nil, err
	}
	e, err := delta.Parse(data)
	if err != nil {
		return nil, nil // Somebody else's, certainly: ours can be read.
	}
	return e, nil
}

// putFile stores a file under its digest. One that is there already is checked,
// and healed when it is damaged: whoever is told that the rows are stored must
// be able to read them. fresh tells that the first attempt wrote the file, and so
// that nobody reads body any more: a request that was answered early may.
func (d *Dataset) putFile(ctx context.Context, f File, body []byte) (fresh bool, err error) {
	attempts := 0
	sum, err := hex.DecodeString(f.SHA256)
	if err != nil || len(sum) != sha256.Size {
		return false, fmt.Errorf("file %s: %q is no SHA-256: %w", f.Path, f.SHA256, ErrInvalid)
	}
	err = retry(ctx, func() error {
		attempts++
		err := d.store.Create(ctx, f.Path, blob.NewHashed(body, [sha256.Size]byte(sum)), f.Size)
		if !errors.Is(err, fs.ErrExist) {
			fresh = err == nil && attempts == 1
			return err
		}
		_, err = d.readFile(ctx, f)
		if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
			return d.store.Put(ctx, f.Path, blob.NewHashed(body, [sha256.Size]byte(sum)), f.Size)
		}
		return err
	})
	return fresh, err
}

// copyFile gives a stored file another name, on the server where the store can
// do that. The name may be taken, by the same content unless that is damaged.
func (d *Dataset) copyFile(ctx context.Context, from string, to File) error {
	if _, err := d.readFile(ctx, to); err == nil {
		return nil
	}
	return retry(ctx, func() error { return blob.Copy(ctx, d.store, from, to.Path) })
}

func (d *Dataset) put(ctx context.Context, key string, body []byte) error {
	return retry(ctx, func() error { return d.store.Put(ctx, key, bytes.NewReader(body), int64(len(body))) })
}

// retry repeats a call that may be repeated.
func retry(ctx context.Context, call func() error) error {
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil || attempt == storeAttempts || ctx.Err() != nil || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if pause(ctx, attempt) != nil {
			return err
		}
	}
}

// pause waits a few random milliseconds, more after each attempt.
func pause(ctx context.Context, attempt int) error {
	return wait(ctx, attempt, 4*time.Millisecond)
}

// wait waits a random time, longer after each attempt and the longer one takes,
// so that racing writers part.
func wait(ctx context.Context, attempt int, took time.Duration) error {
	most := time.Duration(attempt) * min(max(took, 2*time.Millisecond), time.Second)
	t := time.NewTimer(time.Millisecond + rand.N(most))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
