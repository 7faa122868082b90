// Package datasettest is the conformance kit of what lies below datasets: whoever
// writes a [blob.Store], or runs an object store that is not in our tests, sees
// with it that versions, branches, tags, merges, collections and erases keep
// their promises there, with many writers at once.
//
//	func TestDatasets(t *testing.T) {
//		datasettest.Run(t, func(t *testing.T) func() blob.Store {
//			url := newBucket(t)
//			return func() blob.Store { return connect(t, url) }
//		}, nil)
//	}
//
// Package blobtest checks a store by itself, and much more closely: run both. The
// kit links testify; it is for tests only.
package datasettest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// Options say how much is done. The defaults take a few thousand requests.
type Options struct {
	// Writers is how many race for one table, each with a client of its own. The
	// default is 4.
	Writers int
	// Commits is how many each of them makes. The default is 8.
	Commits int
	// Histories is how many random histories are compared with a model in memory,
	// side by side. The default is 2.
	Histories int
	// Steps is how many operations a random history has. The default is 40.
	Steps int
	// Seed is where random histories start. The default is 0: every run does the
	// same.
	Seed uint64
}

func (o *Options) resolve() Options {
	var out Options
	if o != nil {
		out = *o
	}
	for _, f := range []struct {
		field *int
		value int
	}{{&out.Writers, 4}, {&out.Commits, 8}, {&out.Histories, 2}, {&out.Steps, 40}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return out
}

// lake is the store of one subtest.
type lake struct {
	client func() blob.Store
	opts   Options
}

// open is the table t by a client of its own.
func (l *lake) open(t *testing.T) *dataset.Dataset {
	t.Helper()
	d, err := dataset.New(l.client(), nil).Open(t.Context(), "t")
	require.NoError(t, err)
	return d
}

// create makes the table t.
func (l *lake) create(t *testing.T) *dataset.Dataset {
	t.Helper()
	d, err := dataset.New(l.client(), nil).Create(t.Context(), "t", schema, nil)
	require.NoError(t, err)
	return d
}

// Run runs every check as a parallel subtest of t. Open is called once a subtest
// and returns a function that connects to one empty store, which is the subtest's
// own; each call is another client of it, as of another process, or the same where
// there is only one. Clean-up belongs to the t it is given.
func Run(t *testing.T, open func(t *testing.T) func() blob.Store, opts *Options) {
	t.Helper()
	o := opts.resolve()
	checks := []struct {
		name string
		run  func(*testing.T, *lake)
	}{
		{"rows come back", rowsComeBack},
		{"versions stay", versionsStay},
		{"time travel", timeTravel},
		{"tags do not move", tagsStay},
		{"branches are apart", branchesApart},
		{"merges", merges},
		{"one write of a repeated producer", producers},
		{"writers race", writersRace},
		{"readers beside writers", readersBeside},
		{"branches race", branchesRace},
		{"nothing is collected that is used", collects},
		{"erased rows are gone", erases},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, &lake{open(t), o})
		})
	}
	for i := range o.Histories {
		t.Run(fmt.Sprintf("random history %d", i), func(t *testing.T) {
			t.Parallel()
			history(t, &lake{open(t), o}, o.Seed+uint64(i))
		})
	}
}

// verified reads everything and finds no damage.
func verified(t *testing.T, d *dataset.Dataset) {
	t.Helper()
	report, err := d.Verify(context.WithoutCancel(t.Context()), nil)
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Damage)
}
