package dataset_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// history is a dataset with something of everything: appends, a delete, a
// branch, a tag, checkpoints of both logs.
func history(t testing.TB, s blob.Store) *dataset.Dataset {
	t.Helper()
	ctx := context.Background()
	d := create(t, s, "n", small)
	for i := range int64(12) {
		_, err := d.Append(ctx, numbers(t, 10*i, 10*i+1), nil)
		require.NoError(t, err)
	}
	v, err := d.Version(ctx, 5)
	require.NoError(t, err)
	require.NoError(t, d.Tag(ctx, "five", v, nil))
	where, err := filter.Parse("n = 0 OR n = 30 OR n = 31")
	require.NoError(t, err)
	_, err = d.Delete(ctx, where, nil)
	require.NoError(t, err)
	dev, err := d.CreateBranch(ctx, "dev", v)
	require.NoError(t, err)
	for i := range int64(11) {
		_, err = dev.Append(ctx, numbers(t, 1000+i), nil)
		require.NoError(t, err)
	}
	return d
}

func verify(t testing.TB, s blob.Store, opts *dataset.VerifyOptions) *dataset.VerifyReport {
	t.Helper()
	d, err := dataset.New(s, nil).Open(context.Background(), "n")
	if err != nil {
		// The log is so damaged that it cannot be opened: Verify must not need that.
		d = dataset.Unopened(s, "n")
	}
	r, err := d.Verify(context.Background(), opts)
	require.NoError(t, err)
	return r
}

func TestVerifySoundDataset(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		history(t, s)
		var last dataset.VerifyProgress
		r := verify(t, s, &dataset.VerifyOptions{Progress: func(p dataset.VerifyProgress) { last = p }})
		require.Empty(t, r.Damage)
		require.True(t, r.OK())
		require.EqualValues(t, 14+12, r.Entries)
		require.EqualValues(t, 2, r.Checkpoints)
		require.EqualValues(t, 12+1+11, r.Files)
		require.EqualValues(t, 1, r.Tags)
		require.EqualValues(t, 1, r.Branches)
		require.Positive(t, r.Records)
		require.Positive(t, r.Bytes)
		require.Equal(t, "records", last.Phase)
		require.Equal(t, last.Total, last.Done)
		require.Zero(t, verify(t, s, &dataset.VerifyOptions{Quick: true}).Bytes)
	})
}

func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	const (
		main = "n/_delta_log/"
		refs = "n/_refs/_delta_log/"
	)
	replace := func(old, with string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(with), 1) }
	}
	for name, c := range map[string]struct {
		key    string                // The first object that starts so.
		change func(b []byte) []byte // nil deletes it.
		kind   dataset.DamageKind
		want   string
		needed bool
		quick  bool // Found by a quick look too.
	}{
		"flipped bit":        {"n/_refs/data/", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }, dataset.DamagedFile, "it was damaged or replaced", true, false},
		"cut file":           {"n/_refs/data/", func(b []byte) []byte { return b[:len(b)-1] }, dataset.DamagedFile, "bytes, want", true, true},
		"lost file":          {"n/_refs/data/", nil, dataset.DamagedFile, "it is gone", true, true},
		"lost entry":         {main + "00000000000000000003", nil, dataset.DamagedEntry, "it is missing", false, true},
		"lost first entry":   {main + "00000000000000000000", nil, dataset.DamagedEntry, "", false, true},
		"garbled entry":      {main + "00000000000000000003", func(b []byte) []byte { return b[:40] }, dataset.DamagedEntry, "is damaged or not of this protocol", false, true},
		"lost newest entry":  {main + "00000000000000000012", nil, dataset.DamagedEntry, "it is missing", false, true},
		"rewritten rows":     {main + "00000000000000000013.json", replace(`\"numRecords\":1`, `\"numRecords\":7`), dataset.DamagedVersion, "rows and its commit says", false, true},
		"other digest":       {main + "00000000000000000004.json", replace(`"digest":"sha256:`, `"digest":"sha256:0`), dataset.DamagedVersion, "and its commit says sha256:0", false, false},
		"refs entry":         {refs + "00000000000000000004.json", nil, dataset.DamagedEntry, "it is missing", false, true},
		"cut checkpoint":     {main + "00000000000000000010.checkpoint", func(b []byte) []byte { return b[:len(b)/2] }, dataset.DamagedCheckpoint, "is damaged", false, true},
		"lost checkpoint":    {main + "00000000000000000010.checkpoint", nil, dataset.DamagedPointer, "which is not there", false, true},
		"pointer":            {main + "_last_checkpoint", func([]byte) []byte { return []byte("{") }, dataset.DamagedPointer, "not a checkpoint pointer", false, true},
		"lost record":        {"n/_mlops/commits/", nil, dataset.DamagedRecord, "it is gone", false, true},
		"garbled record":     {"n/_mlops/commits/", func(b []byte) []byte { return b[1:] }, dataset.DamagedRecord, "it is no commit record", false, true},
		"record of another":  {"n/_mlops/commits/", replace(`"id":"`, `"id":"0`), dataset.DamagedRecord, "want 1 and its name", false, true},
		"garbled tag":        {"n/_mlops/refs/tags/five", func(b []byte) []byte { return b[3:] }, dataset.DamagedTag, "is damaged", true, true},
		"tag that was moved": {"n/_mlops/refs/tags/five", replace(`"version":5`, `"version":4`), dataset.DamagedTag, "the tag says", true, true},
		"tag into the void":  {"n/_mlops/refs/tags/five", replace(`"version":5`, `"version":99`), dataset.DamagedTag, "which ends at 13", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := new(blob.Mem)
			history(t, s)
			key := first(t, s, c.key)
			if c.change == nil {
				require.NoError(t, s.Delete(ctx, key))
			} else {
				body, err := blob.ReadAll(ctx, s, key, 1<<20)
				require.NoError(t, err)
				body = c.change(slices.Clone(body))
				require.NoError(t, s.Put(ctx, key, bytes.NewReader(body), int64(len(body))))
			}
			for _, quick := range []bool{false, true} {
				r := verify(t, s, &dataset.VerifyOptions{Quick: quick})
				if c.kind == "" || quick && !c.quick {
					require.Empty(t, r.Damage)
					continue
				}
				i := slices.IndexFunc(r.Damage, func(d dataset.Damage) bool {
					return d.Kind == c.kind && strings.Contains(d.Reason, c.want) && (!c.needed || d.Needed)
				})
				if name == "lost first entry" {
					require.EqualValues(t, 1, r.Truncated, "as a cleanup of the log leaves it")
					continue
				}
				require.GreaterOrEqual(t, i, 0, "quick %v: %v", quick, r.Damage)
				require.False(t, r.OK())
				d := r.Damage[i]
				require.Contains(t, d.String(), d.Reason)
				if c.kind == dataset.DamagedFile {
					require.NotEmpty(t, d.Versions)
				}
			}
		})
	}
}

// first is the first key with the prefix.
func first(t testing.TB, s blob.Store, prefix string) string {
	t.Helper()
	for fi, err := range s.List(context.Background(), prefix) {
		require.NoError(t, err)
		return fi.Name()
	}
	t.Fatalf("nothing is at %s", prefix)
	return ""
}

func TestVerifySaysWhichVersions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := new(blob.Mem)
	d := create(t, s, "n", small)
	var files []string
	for i := range int64(4) {
		v, err := d.Append(ctx, numbers(t, i), nil)
		require.NoError(t, err)
		files = append(files, v.Files[i].Path)
	}
	where, err := filter.Parse("n = 1")
	require.NoError(t, err)
	_, err = d.Delete(ctx, where, nil)
	require.NoError(t, err)
	require.NoError(t, s.Delete(ctx, "n/"+files[1]))
	require.NoError(t, s.Delete(ctx, "n/"+files[2]))
	r := verify(t, s, nil)
	require.Len(t, r.Damage, 2)
	for _, dm := range r.Damage {
		want, needed := "main 2 to 4", false
		if dm.Path == files[2] {
			want, needed = "main 3 to 5", true
		}
		require.Equal(t, want, dm.Versions)
		require.Equal(t, needed, dm.Needed)
	}
	r = verify(t, s, &dataset.VerifyOptions{Limit: 1})
	require.Len(t, r.Damage, 1)
	require.EqualValues(t, 1, r.More)
}

// A store that fails is no damage of the data, and bodies that break off are
// read on.
func TestVerifyOnABadStore(t *testing.T) {
	t.Parallel()
	m := new(blob.Mem)
	history(t, m)
	s := faults.New(m, nil)
	d, err := dataset.New(s, nil).Open(t.Context(), "n")
	require.NoError(t, err)
	s.Inject(faults.Rule{Op: faults.Get, Key: "_refs/data/", Times: 10, Fault: faults.Truncate(100)})
	r, err := d.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, r.OK(), "%v", r.Damage)

	s.Inject(faults.Rule{Op: faults.Get, Key: "_mlops/", Times: -1, Fault: faults.Status(503)})
	_, err = d.Verify(t.Context(), nil)
	require.ErrorIs(t, err, dataset.ErrUnavailable)
	require.ErrorContains(t, err, `dataset: verify "n": `)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Verify(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzVerify damages one byte of one object: Verify may find that it does not
// matter, and never fails or panics.
func FuzzVerify(f *testing.F) {
	f.Add(uint16(0), uint32(10), byte(1))
	f.Add(uint16(9), uint32(99), byte(128))
	f.Add(uint16(40), uint32(7), byte(0))
	sound := new(blob.Mem)
	history(f, sound)
	var keys []string
	for fi, err := range sound.List(context.Background(), "") {
		require.NoError(f, err)
		keys = append(keys, fi.Name())
	}
	f.Fuzz(func(t *testing.T, which uint16, at uint32, bits byte) {
		ctx := t.Context()
		s := new(blob.Mem)
		for i, key := range keys {
			body, err := blob.ReadAll(ctx, sound, key, 1<<20)
			require.NoError(t, err)
			if i == int(which)%len(keys) && len(body) > 0 {
				body = slices.Clone(body)
				if bits == 0 {
					body = body[:int(at)%len(body)]
				} else {
					body[int(at)%len(body)] ^= bits
				}
			}
			require.NoError(t, s.Put(ctx, key, bytes.NewReader(body), int64(len(body))))
		}
		r := verify(t, s, nil)
		if strings.Contains(keys[int(which)%len(keys)], "/_refs/data/") {
			require.False(t, r.OK())
		}
		_, err := json.Marshal(r)
		require.NoError(t, err)
	})
}

func ExampleDataset_Verify() {
	ctx := context.Background()
	store := new(blob.Mem)
	d, err := dataset.New(store, nil).Create(ctx, "flights", small, nil)
	if err != nil {
		panic(err)
	}
	report, err := d.Verify(ctx, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(report.OK(), report.Entries)

	_ = store.Put(ctx, "flights/_delta_log/00000000000000000000.json", strings.NewReader("{"), 1)
	report, err = d.Verify(ctx, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(report.Damage[0].Kind, report.Damage[0].Path)
	// Output:
	// true 1
	// log entry _delta_log/00000000000000000000.json
}

// What a collection took away has expired; what else is gone was lost.
func TestVerifyAfterACollection(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newClocked(&blob.Mem{})
	d := create(t, s, "n", small)
	var versions []*dataset.Version
	for i := range int64(4) {
		v, err := d.Overwrite(ctx, numbers(t, i), nil)
		require.NoError(t, err)
		versions = append(versions, v)
	}
	require.NoError(t, d.Tag(ctx, "first", versions[0], nil))
	path := func(i int) string { return versions[i].Files[0].Path }
	lost := func() []string {
		var list []string
		for _, damage := range verify(t, s, nil).Damage {
			list = append(list, damage.Path)
		}
		return list
	}
	collect := func() {
		_, err := d.Collect(ctx, apply(-1))
		require.NoError(t, err)
		s.pass(day)
		d.ForgetCondemned()
	}

	// A file of a version that is neither tagged nor the newest is missed, also when
	// collections condemned it.
	body, err := blob.ReadAll(ctx, s, "n/"+path(1), 1<<20)
	require.NoError(t, err)
	require.NoError(t, s.Delete(ctx, "n/"+path(1)))
	require.Equal(t, []string{path(1)}, lost())
	s.pass(day)
	collect()
	require.Equal(t, []string{path(1)}, lost())
	require.NoError(t, s.Put(ctx, "n/"+path(1), bytes.NewReader(body), -1))
	require.Empty(t, lost())

	collect() // The file of version 3 was on the list, that of version 2 was not.
	r := verify(t, s, nil)
	require.True(t, r.OK(), "%v", r.Damage)
	require.EqualValues(t, 1, r.Expired)
	require.NoError(t, s.Delete(ctx, "n/"+path(1)))
	require.Equal(t, []string{path(1)}, lost())

	// When the list is forgotten, the name can come back: from then on it is missed.
	collect()
	collect()
	v, err := d.Overwrite(ctx, numbers(t, 2), nil)
	require.NoError(t, err)
	require.Equal(t, path(2), v.Files[0].Path)
	_, err = d.Overwrite(ctx, numbers(t, 3), nil)
	require.NoError(t, err)
	require.NoError(t, s.Delete(ctx, "n/"+path(2)))
	require.Equal(t, slices.Sorted(slices.Values([]string{path(1), path(2)})), lost())
	require.NoError(t, s.Delete(ctx, "n/"+path(0)))
	require.Len(t, lost(), 3, "a tag needs this one")

	require.NoError(t, s.Put(ctx, "n/_mlops/collected/x.json", strings.NewReader("{"), 1))
	require.Contains(t, lost(), "_mlops/collected/x.json")
}
