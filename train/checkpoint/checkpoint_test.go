package checkpoint_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/checkpoint"
)

func env(kv ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == name {
				return kv[i+1]
			}
		}
		return ""
	}
}

func keeper(t *testing.T, opts checkpoint.Options, kv ...string) *checkpoint.Keeper {
	t.Helper()
	if opts.Output == nil {
		opts.Output = &bytes.Buffer{}
	}
	k, err := checkpoint.New(env(kv...), &opts)
	require.NoError(t, err)
	return k
}

func write(text string) func(string) error {
	return func(dir string) error {
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
			return err
		}
		return errors.Join(
			os.WriteFile(filepath.Join(dir, "model.bin"), []byte(text), 0o600),
			os.WriteFile(filepath.Join(dir, "sub", "optim.bin"), []byte(text+text), 0o600))
	}
}

func save(t *testing.T, k *checkpoint.Keeper, step int64) *checkpoint.Checkpoint {
	t.Helper()
	c, err := k.Save(step, write("model"), &checkpoint.SaveOptions{Metrics: map[string]float64{"loss": 0.5}})
	require.NoError(t, err)
	return c
}

func TestSaveAndLatest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out bytes.Buffer
	k := keeper(t, checkpoint.Options{Output: &out}, train.EnvCheckpointURI, "file://"+dir)
	none, err := k.Latest(t.Context())
	require.NoError(t, err)
	require.Nil(t, none)
	for step := range int64(5) {
		save(t, k, step+9)
	}
	found, err := k.Latest(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(13), found.Step)
	require.Equal(t, map[string]float64{"loss": 0.5}, found.Metrics)
	text, err := os.ReadFile(filepath.Join(found.Dir, "sub", "optim.bin"))
	require.NoError(t, err)
	require.Equal(t, "modelmodel", string(text))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 6, "three checkpoints are kept, and nothing else")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 6, "five that were saved, and what it goes on from")
	for _, line := range lines[4:] {
		r, ok := train.ParseReport(line)
		require.True(t, ok)
		require.Equal(t, int64(13), r.Step)
		require.Equal(t, found.Ref().Digest, r.Checkpoint.Digest)
		require.Equal(t, found.Ref().URI, r.Checkpoint.URI)
		require.True(t, found.Time.Equal(r.Checkpoint.Time))
	}
}

// A rank that starts late finds what rank 0 resumed from, however many
// checkpoints that has written since.
func TestResumedCheckpointStaysForLateRanks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, keeper(t, checkpoint.Options{URI: dir}, train.EnvJobID, "j"), 5)
	k := keeper(t, checkpoint.Options{URI: dir, Keep: 1}, train.EnvJobID, "j", train.EnvAttempt, "1")
	_, err := k.Latest(t.Context())
	require.NoError(t, err)
	for step := range int64(5) {
		save(t, k, 10+step)
	}
	late, err := keeper(t, checkpoint.Options{URI: dir}, train.EnvJobID, "j", train.EnvAttempt, "1", "RANK", "1").Latest(t.Context())
	require.NoError(t, err)
	require.NotNil(t, late)
	require.Equal(t, int64(5), late.Step)
}

// Whatever is damaged is passed over with a reason, and the one before is taken.
func TestDamagedCheckpointsArePassedOver(t *testing.T) {
	t.Parallel()
	for want, damage := range map[string]func(t *testing.T, c *checkpoint.Checkpoint){
		"is missing": func(t *testing.T, c *checkpoint.Checkpoint) {
			require.NoError(t, os.Remove(filepath.Join(c.Dir, "model.bin")))
		},
		"has 2 bytes, not 5": func(t *testing.T, c *checkpoint.Checkpoint) {
			require.NoError(t, os.Truncate(filepath.Join(c.Dir, "model.bin"), 2))
		},
		"has another SHA-256": func(t *testing.T, c *checkpoint.Checkpoint) {
			require.NoError(t, os.WriteFile(filepath.Join(c.Dir, "model.bin"), []byte("modem"), 0o600))
		},
		"manifest is cut off or was cha": func(t *testing.T, c *checkpoint.Checkpoint) { require.NoError(t, os.Truncate(c.Dir+".manifest", 40)) },
		"its manifest is of": func(t *testing.T, c *checkpoint.Checkpoint) {
			require.NoError(t, os.Rename(c.Dir+".manifest", strings.Replace(c.Dir, "00010-", "00099-", 1)+".manifest"))
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			k := keeper(t, checkpoint.Options{URI: t.TempDir()})
			save(t, k, 5)
			damage(t, save(t, k, 10))
			found, err := k.Latest(t.Context())
			require.NoError(t, err)
			require.Equal(t, int64(5), found.Step)
			require.Len(t, k.Skipped(), 1)
			require.ErrorContains(t, k.Skipped()[0].Err, want)
			require.ErrorIs(t, k.Skipped()[0].Err, checkpoint.ErrDamaged)
		})
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keeper(t, checkpoint.Options{URI: dir}, train.EnvJobID, "j", train.EnvAttempt, "1")
	first := save(t, k, 5)
	save(t, k, 10)
	for name, c := range map[string]struct {
		env  []string
		want int64 // -1: none
	}{
		"a later attempt":            {[]string{train.EnvJobID, "j", train.EnvAttempt, "2"}, 10},
		"a restart by torchrun":      {[]string{train.EnvJobID, "j", train.EnvAttempt, "1", "TORCHELASTIC_RESTART_COUNT", "1"}, 10},
		"another rank, started late": {[]string{train.EnvJobID, "j", train.EnvAttempt, "1", "RANK", "1"}, -1},
		"another job":                {[]string{train.EnvJobID, "k"}, 10},
		"by its digest":              {[]string{train.EnvCheckpointResume, first.Digest}, 5},
		"from the beginning":         {[]string{train.EnvCheckpointResume, train.ResumeNone}, -1},
	} {
		found, err := keeper(t, checkpoint.Options{URI: dir}, c.env...).Latest(t.Context())
		require.NoError(t, err, name)
		if c.want < 0 {
			require.Nil(t, found, name)
			continue
		}
		require.NotNil(t, found, name)
		require.Equal(t, c.want, found.Step, name)
	}
	_, err := keeper(t, checkpoint.Options{URI: dir}, train.EnvCheckpointResume, "sha256:ff").Latest(t.Context())
	require.ErrorIs(t, err, checkpoint.ErrNotFound)
}

// A queue that evicts a job and admits it again starts it with the attempt that it
// had; what was saved before is resumed from all the same.
func TestResumeOfTheSameAttempt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := []string{train.EnvJobID, "j", train.EnvAttempt, "1", train.EnvResumes, "1", train.EnvStart, "pod-1"}
	early := keeper(t, checkpoint.Options{URI: dir}, train.EnvJobID, "j", train.EnvAttempt, "2", train.EnvStart, "pod-0", "GROUP_RANK", "1")
	save(t, keeper(t, checkpoint.Options{URI: dir}, first...), 10)
	for name, c := range map[string]struct {
		env  []string
		want bool
	}{
		"the start that runs":               {first, false},
		"a restart by torchrun in it":       {append([]string{"TORCHELASTIC_RESTART_COUNT", "1"}, first...), true},
		"the next start":                    {[]string{train.EnvJobID, "j", train.EnvAttempt, "2", train.EnvStart, "pod-2"}, true},
		"the next start, counted anew":      {[]string{train.EnvJobID, "j", train.EnvAttempt, "0", train.EnvStart, "pod-2"}, true},
		"another machine in the next start": {[]string{train.EnvJobID, "j", train.EnvAttempt, "2", train.EnvStart, "pod-3", "PET_NODE_RANK", "1"}, true},
		"an engine that counts all":         {[]string{train.EnvJobID, "j", train.EnvAttempt, "2"}, false},
	} {
		found, err := keeper(t, checkpoint.Options{URI: dir}, c.env...).Latest(t.Context())
		require.NoError(t, err, name)
		require.Equal(t, c.want, found != nil, name)
	}
	found, err := early.Latest(t.Context())
	require.NoError(t, err)
	require.Nil(t, found, "rank 0 of its start was quicker")
}

func TestOnlyRank0Writes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ck")
	var out bytes.Buffer
	k := keeper(t, checkpoint.Options{URI: dir, Output: &out}, "RANK", "1")
	c, err := k.Save(1, write("x"), nil)
	require.NoError(t, err)
	require.Nil(t, c)
	require.NoError(t, k.Report(1, 2, nil))
	require.Empty(t, out.String())
	require.NoDirExists(t, dir)
}

func TestSaveThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keeper(t, checkpoint.Options{URI: dir})
	broken := errors.New("broken")
	_, err := k.Save(1, func(string) error { return broken }, nil)
	require.ErrorIs(t, err, broken)
	_, err = k.Save(1, func(string) error { return nil }, nil)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "nothing was written")
	_, err = k.Save(1, func(dir string) error { return os.Symlink("x", filepath.Join(dir, "a")) }, nil)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	_, err = k.Save(-1, write("x"), nil)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := checkpoint.New(env(train.EnvCheckpointURI, "s3://bucket/x"), nil)
	require.ErrorIs(t, err, checkpoint.ErrUnsupported)
	require.ErrorContains(t, err, "mount")
	k := keeper(t, checkpoint.Options{})
	c, err := k.Save(1, write("x"), nil)
	require.NoError(t, err)
	require.Nil(t, c, "without a URI nothing is kept")
}

type metrics map[string]int64

func (m metrics) Metric(name string, _ float64, step int64) { m[name] = step }

func TestReports(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := metrics{}
	k := keeper(t, checkpoint.Options{Output: &out, Tracker: m})
	for step := int64(1); step <= 100; step++ {
		require.NoError(t, k.Report(step, 100, map[string]float64{"loss": 1}))
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2, "the first and the last; those between came within a second")
	r, ok := train.ParseReport(lines[1])
	require.True(t, ok)
	require.Equal(t, train.Report{Step: 100, Total: 100, Metrics: map[string]float64{"loss": 1}}, r)
	require.Equal(t, metrics{"loss": 100}, m)
}

func FuzzParseManifest(f *testing.F) {
	dir := f.TempDir()
	k, err := checkpoint.New(env(), &checkpoint.Options{URI: dir, Output: &bytes.Buffer{}})
	require.NoError(f, err)
	c, err := k.Save(3, write("x"), nil)
	require.NoError(f, err)
	data, err := os.ReadFile(c.Dir + ".manifest")
	require.NoError(f, err)
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Add([]byte("{}\nsha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, digest, err := checkpoint.ParseManifest(data)
		if err != nil {
			require.ErrorIs(t, err, checkpoint.ErrDamaged)
			return
		}
		require.Len(t, digest, 71)
		for _, file := range m.Files {
			require.False(t, filepath.IsAbs(file.Path) || strings.HasPrefix(file.Path, ".."), file.Path)
		}
	})
}
