package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/loader"
)

// train measures what training asks of a version: an epoch in order and
// shuffled, and the first record after a resume, early and late in an epoch.
func (b *bench) train(ctx context.Context) error {
	measures := []struct{ name, measure string }{
		{"epoch in order", "epoch"}, {"epoch shuffled", "shuffle"}, {"resume at 1 % of an epoch", "early"}, {"resume at 99 % of an epoch", "late"},
	}
	var p plan
	size := int64(0)
	for _, m := range measures {
		if !b.wanted(m.name) {
			continue
		}
		if size == 0 {
			s, err := shapes()[0], error(nil)
			if p, size, err = b.prepare(ctx, s, b.rows); err != nil {
				return err
			}
			defer os.RemoveAll(filepath.Join(b.dir, s.name))
		}
		for _, cores := range b.counts {
			all, err := b.one(ctx, oursName, m.measure, cores, p)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			seconds := best(cores, all)
			if m.measure == "early" || m.measure == "late" {
				b.table.add(m.name, "ms", cores, true, oursName, seconds*1e3)
			} else {
				b.table.add(m.name, "MB/s", cores, false, oursName, float64(size)/seconds/1e6)
			}
		}
	}
	return nil
}

// training is one such measurement in this process.
func training(ctx context.Context, measure string, p plan) (run func() (int64, error), err error) {
	store, err := dirblob.Open(filepath.Dir(p.Table))
	if err != nil {
		return nil, err
	}
	d, err := dataset.New(store, nil).Open(ctx, filepath.Base(p.Table))
	if err != nil {
		return nil, err
	}
	v, err := d.Latest(ctx)
	if err != nil {
		return nil, err
	}
	l, err := loader.New(ctx, v, &loader.Options{Shuffle: measure != "epoch", BatchRows: 4096})
	if err != nil {
		return nil, err
	}
	epoch := func(after int64) (rows int64, token loader.Token, err error) {
		s, err := l.Shard(loader.Shard{})
		if err != nil {
			return 0, token, err
		}
		for rec, err := range s.Records(ctx) {
			if err != nil {
				return 0, token, err
			}
			if rows += rec.NumRows(); after > 0 && rows >= after {
				return rows, s.Token(), nil
			}
		}
		return rows, s.Token(), nil
	}
	if measure == "epoch" || measure == "shuffle" {
		return func() (int64, error) {
			rows, _, err := epoch(0)
			return rows, err
		}, nil
	}
	share := v.Rows / 100
	if measure == "late" {
		share = v.Rows - share
	}
	_, token, err := epoch(share)
	if err != nil {
		return nil, err
	}
	return func() (int64, error) {
		s, err := l.Resume(token)
		if err != nil {
			return 0, err
		}
		for rec, err := range s.Records(ctx) {
			return rec.NumRows(), err
		}
		return 0, errors.Join(io.ErrUnexpectedEOF, errors.New("nothing after the token"))
	}, nil
}

// nullable measures the Parquet package of Arrow v15, which a program cannot
// link beside ours, on the table with nulls.
func (b *bench) nullable(ctx context.Context, program string, p plan, size int64) error {
	for _, measure := range []string{"write", "read"} {
		name := measure + " nullable"
		if !b.wanted(name) {
			continue
		}
		all, err := figuresOf(ctx, 1, program, measure, fmt.Sprint(b.repeats), p.Source, filepath.Join(filepath.Dir(p.Source), "v15.parquet"))
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, arrow15Name, err)
		}
		b.table.add(name, "MB/s", 1, false, arrow15Name, float64(size)/best(1, all)/1e6)
	}
	return nil
}
