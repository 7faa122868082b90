package dataset_test

import (
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

func TestDamagedFilesAreNamed(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		for i := range int64(3) {
			_, err := d.Append(ctx, numbers(t, i), nil)
			require.NoError(t, err)
		}
		v, err := d.Latest(ctx)
		require.NoError(t, err)
		key := "n/" + v.Files[1].Path
		good, err := blob.ReadAll(ctx, s, key, 1<<20)
		require.NoError(t, err)

		flipped := bytes.Clone(good)
		flipped[len(flipped)/2] ^= 1
		for name, bad := range map[string][]byte{"flipped": flipped, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0), "empty": nil} {
			require.NoError(t, s.Put(ctx, key, bytes.NewReader(bad), int64(len(bad))), name)
			var got []int64
			rr, err := v.Read(ctx, nil)
			require.NoError(t, err)
			for rr.Next() {
				got = append(got, rr.Record().NumRows())
			}
			var damage *dataset.CorruptError
			require.ErrorAs(t, rr.Err(), &damage, name)
			rr.Release()
			require.Len(t, got, 1, "nothing of the damaged file was delivered")
			require.Equal(t, v.Files[1].Path, damage.Path)
			require.Equal(t, v.Files[1].SHA256, damage.Want)
			require.NotEmpty(t, damage.Have)
			require.NotEqual(t, damage.Want, damage.Have)
			require.EqualValues(t, 3, damage.Version)
			require.ErrorContains(t, rr.Err(), "damaged or replaced")
		}

		require.NoError(t, s.Delete(ctx, key))
		rr, err := v.Read(ctx, nil)
		require.NoError(t, err)
		defer rr.Release()
		for rr.Next() {
		}
		require.ErrorIs(t, rr.Err(), fs.ErrNotExist)
		require.ErrorContains(t, rr.Err(), "is gone")

		// Versions before the damage are not touched by it.
		first, err := d.Version(ctx, 1)
		require.NoError(t, err)
		require.Equal(t, []int64{0}, readNumbers(t, first))
	})
}

func TestForeignCommitsAreRefusedAndTheOldVersionsStay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct{ entry, want string }{
		"reader 3": {`{"protocol":{"minReaderVersion":3,"minWriterVersion":7}}`, "reader of version 3"},
		"garbage":  {`not json`, "00000000000000000002.json is damaged"},
		"escape":   {`{"add":{"path":"../x.parquet","partitionValues":{},"size":10,"modificationTime":0,"dataChange":true}}`, "dotted segment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &blob.Mem{}
			d := create(t, s, "n", small)
			_, err := d.Append(ctx, numbers(t, 1), nil)
			require.NoError(t, err)
			require.NoError(t, s.Create(ctx, "n/_delta_log/00000000000000000002.json", strings.NewReader(c.entry), -1))

			for _, d := range []*dataset.Dataset{d, open(t, s)} {
				_, err = d.Latest(ctx)
				require.ErrorIs(t, err, dataset.ErrUnsupported)
				require.ErrorContains(t, err, c.want)
				_, err = d.Append(ctx, numbers(t, 2), nil)
				require.ErrorIs(t, err, dataset.ErrUnsupported)
				v, err := d.Version(ctx, 1)
				require.NoError(t, err)
				require.Equal(t, []int64{1}, readNumbers(t, v))
			}
		})
	}
}

func TestForeignWriterVersionIsReadOnly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	_, err := d.Append(ctx, numbers(t, 1), nil)
	require.NoError(t, err)
	require.NoError(t, s.Create(ctx, "n/_delta_log/00000000000000000002.json", strings.NewReader(`{"protocol":{"minReaderVersion":1,"minWriterVersion":7}}`), -1))
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{1}, readNumbers(t, v))
	_, err = d.Append(ctx, numbers(t, 2), nil)
	require.ErrorIs(t, err, dataset.ErrUnsupported)
}

func TestForeignDeleteIsFollowed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	for i := range int64(2) {
		_, err := d.Append(ctx, numbers(t, i), nil)
		require.NoError(t, err)
	}
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	remove := `{"remove":{"path":"` + v.Files[0].Path + `","dataChange":true}}`
	require.NoError(t, s.Create(ctx, "n/_delta_log/00000000000000000003.json", strings.NewReader(remove), -1))
	v, err = d.Latest(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{1}, readNumbers(t, v))
	p, err := v.Profile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Column("n").Max())
	v, err = d.Append(ctx, numbers(t, 0), nil)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 0}, readNumbers(t, v))
}

func TestMissingLogEntryHidesTheLaterVersionsOnly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	for i := range int64(3) {
		_, err := d.Append(ctx, numbers(t, i), nil)
		require.NoError(t, err)
	}
	require.NoError(t, s.Delete(ctx, "n/_delta_log/00000000000000000002.json"))
	d = open(t, s)
	_, err := d.Latest(ctx)
	require.ErrorIs(t, err, dataset.ErrUnsupported)
	require.ErrorContains(t, err, "00000000000000000002.json is missing")
	v, err := d.Version(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, []int64{0}, readNumbers(t, v))
}

func TestDamagedCommitRecordIsAnError(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	v, err := d.Append(ctx, numbers(t, 1), nil)
	require.NoError(t, err)
	for info, err := range s.List(ctx, "n/_mlops/commits/") {
		require.NoError(t, err)
		require.NoError(t, s.Put(ctx, info.Name(), strings.NewReader(`{"format":1,"profile":`), -1))
	}
	_, err = v.Profile(ctx)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, "is damaged")
}

func open(t testing.TB, s blob.Store) *dataset.Dataset {
	d, err := dataset.New(s, nil).Open(context.Background(), "n")
	require.NoError(t, err)
	return d
}
