package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/deploy"
	"github.com/millwright-ml/millwright/serve/oip"
)

// factor is a model in a file: it multiplies.
type factor struct {
	By   float64 `json:"by"`
	Held int64   `json:"held"`

	serve.Model
}

func (m *factor) Size() int64 { return m.Held }

type number struct {
	X float64 `serve:"x"`
}

// factors is the runtime of such models.
type factors struct{}

func (factors) Load(_ context.Context, files fs.FS) (serve.Model, error) {
	b, err := fs.ReadFile(files, "model.json")
	if err != nil {
		return nil, err
	}
	m := new(factor)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("model.json: %w: %w", err, serve.ErrInvalid)
	}
	if m.By == 13 {
		panic("thirteen")
	}
	m.Model, err = serve.Func(func(_ context.Context, in number) (number, error) { return number{in.X * m.By}, nil })
	return m, err
}

const signature = `{"inputs":[{"name":"x","datatype":"FP64","shape":[-1]}],"outputs":[{"name":"x","datatype":"FP64","shape":[-1]}]}`

// register adds a version that multiplies, with a golden case that says so, or
// otherwise.
func register(t testing.TB, reg *registry.Registry, name string, by, says float64, sig string) int {
	golden, err := registry.EncodeGolden([]registry.Golden{{
		Input:  json.RawMessage(`{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[2]}]}`),
		Output: json.RawMessage(fmt.Sprintf(`{"outputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[%g]}]}`, 2*says)),
	}})
	require.NoError(t, err)
	v, err := reg.Register(t.Context(), name, registry.Draft{
		Files:  fstest.MapFS{"model.json": {Data: fmt.Appendf(nil, `{"by":%g,"held":100}`, by)}, "golden.json": {Data: golden}},
		Golden: "golden.json", Signature: json.RawMessage(sig), Framework: "go", Run: "r7",
		Datasets: []registry.Dataset{{Name: "numbers", Digest: "sha256:dd"}},
	})
	require.NoError(t, err)
	return v.Number
}

func move(t testing.TB, reg *registry.Registry, name, alias string, to int) {
	require.NoError(t, reg.SetAlias(t.Context(), name, alias, to, &registry.AliasOptions{Expect: -1}))
}

// answers asks for 3 times the factor.
func answers(s *serve.Server, name, version string) (float64, serve.Served, error) {
	resp, served, err := s.Infer(context.Background(), name, version, &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{3})}})
	if err != nil {
		return 0, served, err
	}
	return resp.Outputs[0].FP64()[0], served, nil
}

// until waits for the factor to answer.
func until(t testing.TB, s *serve.Server, name string, by float64) serve.Served {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		if got, served, err := answers(s, name, ""); err == nil && got == 3*by {
			return served
		}
	}
	t.Fatalf("%q never multiplied by %v", name, by)
	return serve.Served{}
}

// run keeps the models until the test ends, or stop is called.
func run(t testing.TB, source deploy.Source, models []deploy.Model, opts *deploy.Options) (s *serve.Server, k *deploy.Keeper, stop func()) {
	t.Helper()
	k, err := deploy.New(source, models, opts)
	require.NoError(t, err)
	s = serve.New(&serve.Options{OnDemand: k.OnDemand})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, s) }()
	var ended atomic.Bool
	stop = func() {
		cancel()
		if !ended.Swap(true) {
			require.NoError(t, <-done)
			require.NoError(t, s.Shutdown(context.Background()))
		}
	}
	t.Cleanup(stop)
	return s, k, stop
}

func fresh() *registry.Registry { return registry.New(new(registrytest.Mem), new(blob.Mem), nil) }

// faults collects what OnError is told.
func faults() (func(error), func(t testing.TB, text string)) {
	all := make(chan error, 1000)
	return func(err error) { all <- err }, func(t testing.TB, text string) {
		for err := range all {
			if fmt.Sprint(err) != "" && contains(err.Error(), text) {
				return
			}
		}
	}
}

func contains(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}

func TestFollowsTheAlias(t *testing.T) {
	t.Parallel()
	reg := fresh()
	one, two := register(t, reg, "f", 1, 1, signature), register(t, reg, "f", 2, 2, signature)
	move(t, reg, "f", "champion", one)
	s, k, _ := run(t, reg, []deploy.Model{{Name: "f", Runtime: factors{}, Beside: []string{"challenger"}}}, nil)
	served := until(t, s, "f", 1)
	v, err := reg.Version(t.Context(), "f", one)
	require.NoError(t, err)
	require.Equal(t, v.Digest, served.Digest)
	info := s.Models()[0].Versions[0]
	require.Equal(t, map[string]string{"run": "r7", "dataset": "sha256:dd"}, info.Labels)
	require.Equal(t, "go", info.Platform)

	move(t, reg, "f", "challenger", two)
	for {
		if got, _, err := answers(s, "f", "2"); err == nil {
			require.EqualValues(t, 6, got)
			break
		}
		runtime.Gosched()
	}
	got, _, err := answers(s, "f", "")
	require.NoError(t, err)
	require.EqualValues(t, 3, got)
	list, err := k.Index(t.Context())
	require.NoError(t, err)
	require.Equal(t, []oip.ModelIndex{{Name: "f", Version: "1", State: oip.StateReady}, {Name: "f", Version: "2", State: oip.StateReady}}, list)

	// A promotion needs no second load, the version before goes.
	move(t, reg, "f", "champion", two)
	until(t, s, "f", 2)
	for len(s.Models()[0].Versions) > 1 {
		runtime.Gosched()
	}
	// An alias that is deleted takes nothing down.
	require.NoError(t, reg.DeleteAlias(t.Context(), "f", "champion", &registry.AliasOptions{Expect: -1}))
	until(t, s, "f", 2)
	require.ErrorIs(t, k.Run(t.Context(), s), deploy.ErrInvalid)
}

// What does not do what it was recorded to do never answers.
func TestRefusesBadVersions(t *testing.T) {
	t.Parallel()
	reg := fresh()
	onError, wait := faults()
	move(t, reg, "f", "champion", register(t, reg, "f", 1, 1, signature))
	s, k, _ := run(t, reg, []deploy.Model{{Name: "f", Runtime: factors{}}}, &deploy.Options{OnError: onError})
	until(t, s, "f", 1)
	for _, tc := range []struct {
		by, says float64
		sig      string
		want     string
	}{
		{2, 3, signature, "golden case 0 is not reproduced"},
		{2, 2, `{"inputs":[{"name":"y","datatype":"FP64","shape":[-1]}],"outputs":[{"name":"x","datatype":"FP64","shape":[-1]}]}`, `input "y" of the recorded signature`},
		{13, 13, signature, "the runtime panicked: thirteen"},
	} {
		move(t, reg, "f", "champion", register(t, reg, "f", tc.by, tc.says, tc.sig))
		wait(t, tc.want)
		got, served, err := answers(s, "f", "")
		require.NoError(t, err)
		require.EqualValues(t, 3, got)
		require.Equal(t, "1", served.Version)
	}
	list, err := k.Index(t.Context())
	require.NoError(t, err)
	require.Equal(t, oip.StateUnavailable, list[0].State)
	require.Contains(t, list[0].Reason, "thirteen")
	require.ErrorContains(t, k.Load(t.Context(), "f", nil), "thirteen")
	move(t, reg, "f", "champion", register(t, reg, "f", 7, 7, signature))
	until(t, s, "f", 7)
}

// down is a registry that can fail.
type down struct {
	deploy.Source
	broken atomic.Bool
	loads  atomic.Int64
}

var errDown = errors.New("the registry is down")

func (d *down) Follow(ctx context.Context, name, alias string) iter.Seq2[int, error] {
	if d.broken.Load() {
		return func(yield func(int, error) bool) {
			if yield(0, errDown) {
				<-ctx.Done()
			}
		}
	}
	return d.Source.Follow(ctx, name, alias)
}

func (d *down) Bundle(ctx context.Context, name string, number int) (fs.FS, json.RawMessage, error) {
	d.loads.Add(1)
	if d.broken.Load() {
		return nil, nil, errDown
	}
	return d.Source.Bundle(ctx, name, number)
}

// A service that restarts while the registry is down answers with what it
// answered last, and with nothing that the disk has damaged.
func TestRestartWithoutTheRegistry(t *testing.T) {
	t.Parallel()
	reg, dir := fresh(), t.TempDir()
	source := &down{Source: reg}
	models := []deploy.Model{{Name: "f/ü", Runtime: factors{}, Beside: []string{"challenger"}}}
	models[0].Name = "f ü"
	one, two := register(t, reg, "f ü", 1, 1, signature), register(t, reg, "f ü", 2, 2, signature)
	move(t, reg, "f ü", "champion", one)
	s, _, stop := run(t, source, models, &deploy.Options{Dir: dir})
	until(t, s, "f ü", 1)
	move(t, reg, "f ü", "champion", two)
	until(t, s, "f ü", 2)
	state := filepath.Join(dir, "model-f%20%C3%BC", "state.json")
	for {
		if b, err := os.ReadFile(state); err == nil && string(b) == `{"format":1,"aliases":{"champion":2}}` {
			break
		}
		runtime.Gosched()
	}
	stop()

	source.broken.Store(true)
	s, _, stop = run(t, source, models, &deploy.Options{Dir: dir})
	served := until(t, s, "f ü", 2)
	require.NotEmpty(t, served.Digest)
	stop()
	_, err := os.Stat(filepath.Join(dir, "model-f%20%C3%BC", "1"))
	require.ErrorIs(t, err, fs.ErrNotExist, "what is not in use is removed")

	// One bit of the model is another.
	onError, wait := faults()
	at := filepath.Join(dir, "model-f%20%C3%BC", "2", "files", "model.json")
	require.NoError(t, os.WriteFile(at, []byte(`{"by":3,"held":100}`), 0o600))
	s, _, stop = run(t, source, models, &deploy.Options{Dir: dir, OnError: onError})
	wait(t, "the registry has")
	_, _, err = answers(s, "f ü", "")
	require.ErrorIs(t, err, serve.ErrUnavailable)
	stop()
	source.broken.Store(false)
	s, _, stop = run(t, source, models, &deploy.Options{Dir: dir})
	until(t, s, "f ü", 2)
	stop()

	// So is the state: the registry says where the alias is.
	require.NoError(t, os.WriteFile(state, []byte(`{"format":`), 0o600))
	onError, wait = faults()
	s, _, _ = run(t, source, models, &deploy.Options{Dir: dir, OnError: onError})
	wait(t, "state.json is damaged")
	until(t, s, "f ü", 2)
}

// A load that fails is tried again.
func TestRetries(t *testing.T) {
	t.Parallel()
	reg := fresh()
	source := &flaky{Source: reg}
	source.left.Store(3)
	move(t, reg, "f", "champion", register(t, reg, "f", 1, 1, signature))
	s, _, _ := run(t, source, []deploy.Model{{Name: "f", Runtime: factors{}}}, &deploy.Options{Retry: time.Millisecond})
	until(t, s, "f", 1)
	require.Negative(t, source.left.Load())
}

type flaky struct {
	deploy.Source
	left atomic.Int64
}

func (d *flaky) Bundle(ctx context.Context, name string, number int) (fs.FS, json.RawMessage, error) {
	if d.left.Add(-1) >= 0 {
		return nil, nil, errDown
	}
	return d.Source.Bundle(ctx, name, number)
}

// Of three models there is room for two: who was not asked for the longest goes,
// and comes back when it is asked for.
func TestMemory(t *testing.T) {
	t.Parallel()
	reg := fresh()
	var models []deploy.Model
	for i, name := range []string{"a", "b", "c"} {
		move(t, reg, name, "champion", register(t, reg, name, float64(i+1), float64(i+1), signature))
		models = append(models, deploy.Model{Name: name, Runtime: factors{}, Lazy: true})
	}
	s, k, _ := run(t, reg, models, &deploy.Options{Memory: 250})
	until(t, s, "a", 1)
	until(t, s, "b", 2)
	until(t, s, "a", 1)
	until(t, s, "c", 3)
	names := func() (list []string) {
		for _, m := range s.Models() {
			list = append(list, m.Name)
		}
		return list
	}
	require.Equal(t, []string{"a", "c"}, names())
	list, err := k.Index(t.Context())
	require.NoError(t, err)
	require.Equal(t, oip.ModelIndex{Name: "b", Version: "1", State: oip.StateUnavailable, Reason: "unloaded for want of room"}, list[1])
	until(t, s, "b", 2)
	require.Equal(t, []string{"b", "c"}, names())

	require.NoError(t, k.Unload(t.Context(), "c", nil))
	require.Equal(t, []string{"b"}, names())
	require.NoError(t, k.Load(t.Context(), "c", nil))
	require.Equal(t, []string{"b", "c"}, names())
	_, _, err = answers(s, "d", "")
	require.ErrorIs(t, err, serve.ErrNotFound)
	require.ErrorIs(t, k.Unload(t.Context(), "d", nil), deploy.ErrNotFound)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := deploy.New(nil, []deploy.Model{{Name: "a", Alias: "x", Beside: []string{"x"}}, {Name: "a", Runtime: factors{}}, {Runtime: factors{}}}, nil)
	require.EqualError(t, err, `deploy: new: the source is nil; model "a" has no Runtime; model "a": alias "x" is in Beside as well; model "a" is there twice; model 2 has no name: invalid`)
	_, err = deploy.New(fresh(), nil, nil)
	require.ErrorIs(t, err, deploy.ErrInvalid)
	k, err := deploy.New(fresh(), []deploy.Model{{Name: "a", Runtime: factors{}}}, nil)
	require.NoError(t, err)
	require.ErrorIs(t, k.Load(t.Context(), "a", nil), deploy.ErrUnavailable)
}
