package train_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
)

func full() train.Spec {
	return train.Spec{
		Name:     "fraud",
		Command:  []string{"python3", "train.py", "--depth=6"},
		Dir:      "/srv",
		Env:      map[string]string{"B": "2", "A": "1"},
		Inputs:   []train.Input{{Name: "tx", Version: "4", Digest: "sha256:ab", URI: "s3://b/tx"}},
		Output:   "s3://b/models",
		Deadline: time.Hour,
		Grace:    time.Minute,
	}
}

func TestSpecRoundTrip(t *testing.T) {
	t.Parallel()
	want := full()
	require.NoError(t, want.Validate())
	data, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := train.ReadSpec(strings.NewReader(string(data)))
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, want.Hash(), got.Hash())
}

func TestHashTellsSpecsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{full().Hash(): true}
	for _, change := range []func(*train.Spec){
		func(s *train.Spec) { s.Name = "x" },
		func(s *train.Spec) { s.Command = append(s.Command, "x") },
		func(s *train.Spec) { s.Dir = "x" },
		func(s *train.Spec) { s.Env = map[string]string{"A": "1"} },
		func(s *train.Spec) { s.Inputs[0].Digest = "x" },
		func(s *train.Spec) { s.Output = "x" },
		func(s *train.Spec) { s.Deadline++ },
		func(s *train.Spec) { s.Grace++ },
	} {
		s := full()
		change(&s)
		require.False(t, seen[s.Hash()], "%+v", s)
		seen[s.Hash()] = true
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	err := train.Spec{
		Name:     strings.Repeat("n", 251),
		Command:  []string{"", "\xff"},
		Dir:      "a\x00b",
		Env:      map[string]string{"": "", "A=B": "", train.EnvJobID: "x", "OK": "\xff"},
		Inputs:   []train.Input{{}, {Name: "a", URI: "\xff"}},
		Deadline: -1,
		Grace:    -2,
	}.Validate()
	require.ErrorIs(t, err, train.ErrInvalid)
	for _, part := range []string{
		"name has 251 bytes", "command is empty", "command[1] is not valid UTF-8", "dir holds a NUL byte",
		`env name "" is empty`, `env name "A=B" is empty or holds "="`, `env name "MILLWRIGHT_JOB_ID" is set by the launcher`,
		"env OK is not valid UTF-8", "inputs[0] has no name", "inputs[1] is not valid UTF-8", "deadline is -1ns", "grace is -2ns",
	} {
		require.ErrorContains(t, err, part)
	}
}

func TestGracePeriod(t *testing.T) {
	t.Parallel()
	require.Equal(t, train.DefaultGrace, train.Spec{}.GracePeriod())
	require.Equal(t, time.Duration(0), train.Spec{Grace: -1}.GracePeriod())
	require.Equal(t, time.Second, train.Spec{Grace: time.Second}.GracePeriod())
}

func TestReadSpecRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":   "",
		"invalid": `{"name":"a"}`,
		"long":    `{"name":"` + strings.Repeat("a", 1<<20) + `"}`,
	} {
		_, err := train.ReadSpec(strings.NewReader(text))
		require.ErrorIs(t, err, train.ErrInvalid, name)
	}
	broken := errors.New("broken")
	_, err := train.ReadSpec(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		`train: job "j": the command exited with status 1; its last line: "ValueError: bad"`:                           &train.UserError{Job: "j", ExitCode: 1, LastLines: []string{"Traceback", "ValueError: bad"}},
		`train: job "j": the command exited with status 127 (the command or its interpreter was not found)`:            &train.UserError{Job: "j", ExitCode: 127},
		`train: job "j": killed by SIGKILL: out of memory or an operator`:                                              &train.KilledError{Job: "j", Signal: "SIGKILL", Cause: "out of memory or an operator"},
		`train: job "j": killed: the machine restarted`:                                                                &train.KilledError{Job: "j", Cause: "the machine restarted"},
		`train: job "j": stopped at its deadline of 1m0s`:                                                              &train.DeadlineError{Job: "j", Deadline: time.Minute},
		`train: submit with key "k": job "j" has that key and another spec (0123456789ab, not ba9876543210): conflict`: &train.ConflictError{Job: "j", Key: "k", Have: "0123456789abcdef", Want: "ba9876543210fedc"},
	} {
		require.EqualError(t, err, want)
	}
	require.ErrorIs(t, &train.ConflictError{}, train.ErrConflict)
	long := &train.UserError{ExitCode: 1, LastLines: []string{strings.Repeat("é", 200)}}
	require.Less(t, len(long.Error()), 400)
}

func TestPhaseEnded(t *testing.T) {
	t.Parallel()
	for phase, ended := range map[train.Phase]bool{
		train.Queued: false, train.Starting: false, train.Running: false,
		train.Succeeded: true, train.Failed: true, train.Cancelled: true,
	} {
		require.Equal(t, ended, phase.Ended(), phase)
	}
}

func FuzzReadSpec(f *testing.F) {
	data, err := json.Marshal(full())
	require.NoError(f, err)
	f.Add(string(data))
	f.Add(`{"name":"a","command":["b"],"deadline":-9223372036854775808}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := train.ReadSpec(strings.NewReader(text))
		if err != nil {
			return
		}
		data, err := json.Marshal(s)
		require.NoError(t, err)
		again, err := train.ReadSpec(strings.NewReader(string(data)))
		require.NoError(t, err)
		require.Equal(t, s.Hash(), again.Hash(), "what was read must be what is hashed")
	})
}
