package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// ReadAll reads the whole object, of at most max bytes: a larger one is an
// [fs.ErrInvalid], so that a damaged or hostile object cannot take all memory.
func ReadAll(ctx context.Context, s Store, key string, max int64) ([]byte, error) {
	data, _, err := readAll(ctx, s, key, max)
	return data, err
}

// ReadTagged is ReadAll with the [Tag] of the object that was read, for [Swap].
func ReadTagged(ctx context.Context, s Store, key string, max int64) (data []byte, tag string, err error) {
	data, fi, err := readAll(ctx, s, key, max)
	if err == nil && fi == nil {
		// The store does not say what it opened. A tag that was asked for first can
		// only be too old, and then the swap fails as it should.
		if fi, err = s.Stat(ctx, key); err == nil {
			data, _, err = readAll(ctx, s, key, max)
		}
	}
	if err != nil {
		return nil, "", err
	}
	return data, Tag(fi), nil
}

// readAll returns the bytes, and the description of the object that they are of
// where the store gives one.
func readAll(ctx context.Context, s Store, key string, max int64) ([]byte, fs.FileInfo, error) {
	if max < 0 {
		return nil, nil, invalid("read", key, fmt.Sprintf("the bound of %d bytes is negative", max))
	}
	limit := max
	if limit < math.MaxInt64 {
		limit++
	}
	r, err := s.Get(ctx, key, 0, limit)
	if err != nil {
		return nil, nil, err
	}
	fi := Opened(r)
	var buf bytes.Buffer
	if fi != nil && fi.Size() <= max {
		const claimed = 64 << 20 // a size is a claim: beyond this the bytes have to come first
		buf.Grow(int(min(fi.Size(), claimed)) + bytes.MinRead)
	}
	_, err = buf.ReadFrom(io.LimitReader(r, limit))
	err = errors.Join(err, r.Close())
	if err != nil {
		return nil, nil, &fs.PathError{Op: "read", Path: key, Err: err}
	}
	if int64(buf.Len()) > max {
		return nil, nil, invalid("read", key, fmt.Sprintf("the object is larger than the bound of %d bytes", max))
	}
	return buf.Bytes(), fi, nil
}
