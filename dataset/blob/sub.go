package blob

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"strings"
)

// Sub returns a store of what lies below prefix in s: its key k is s's key
// prefix + "/" + k. Prefix is a key; with "" Sub returns s itself. Errors name
// the full key in s, and a prefix that is no valid key makes every call fail
// with [fs.ErrInvalid].
func Sub(s Store, prefix string) Store {
	if prefix == "" {
		return s
	}
	if outer, ok := s.(*sub); ok {
		return &sub{s: outer.s, prefix: outer.prefix + prefix + "/"}
	}
	return &sub{s: s, prefix: prefix + "/"}
}

type sub struct {
	s      Store
	prefix string // ends with a slash
}

// key checks k by itself first: "" or "../x" must not become a key of s.
func (b *sub) key(k string) (string, error) {
	if err := ValidateKey(k); err != nil {
		return "", err
	}
	return b.prefix + k, ValidateKey(b.prefix + k)
}

func (b *sub) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	full, err := b.key(key)
	if err != nil {
		return err
	}
	return b.s.Create(ctx, full, body, size)
}

func (b *sub) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	full, err := b.key(key)
	if err != nil {
		return err
	}
	return b.s.Put(ctx, full, body, size)
}

func (b *sub) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	full, err := b.key(key)
	if err != nil {
		return nil, err
	}
	r, err := b.s.Get(ctx, full, off, n)
	if err != nil {
		return nil, err
	}
	if fi := Opened(r); fi != nil {
		r = NewReader(r, b.info(fi))
	}
	return r, nil
}

func (b *sub) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	full, err := b.key(key)
	if err != nil {
		return nil, err
	}
	fi, err := b.s.Stat(ctx, full)
	if err != nil {
		return nil, err
	}
	return b.info(fi), nil
}

func (b *sub) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := ValidatePrefix(prefix); err != nil {
			yield(nil, err)
			return
		}
		for fi, err := range b.s.List(ctx, b.prefix+prefix) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b.info(fi), nil) {
				return
			}
		}
	}
}

func (b *sub) Delete(ctx context.Context, key string) error {
	full, err := b.key(key)
	if err != nil {
		return err
	}
	return b.s.Delete(ctx, full)
}

// Swap implements [Swapper] where the store below does.
func (b *sub) Swap(ctx context.Context, key string, body io.Reader, size int64, old string) (string, error) {
	full, err := b.key(key)
	if err != nil {
		return "", err
	}
	return Swap(ctx, b.s, full, body, size, old)
}

// Copy implements [Copier] where the store below does.
func (b *sub) Copy(ctx context.Context, from, to string) error {
	fullFrom, err := b.key(from)
	if err != nil {
		return err
	}
	fullTo, err := b.key(to)
	if err != nil {
		return err
	}
	return Copy(ctx, b.s, fullFrom, fullTo)
}

// info gives an object of the store below its name here.
func (b *sub) info(fi fs.FileInfo) fs.FileInfo {
	return NewTaggedInfo(strings.TrimPrefix(fi.Name(), b.prefix), fi.Size(), fi.ModTime(), Tag(fi))
}
