package mlflow_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// gated holds back the artifacts until it is opened, or fails.
type gated struct {
	*blob.Mem
	open chan struct{}
	fail atomic.Bool
}

func (g *gated) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if strings.HasSuffix(key, "/MLmodel") { // which is read before the copy
		return g.Mem.Get(ctx, key, off, n)
	}
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if g.fail.Load() {
		return nil, errors.New("the disk is on fire")
	}
	return g.Mem.Get(ctx, key, off, n)
}

func newGated(t *testing.T, store registry.Store) (*api, *gated) {
	t.Helper()
	g := &gated{open: make(chan struct{})}
	a := newAPI(t, store, func(o *mlflow.Options) {
		g.Mem = o.Artifacts.(*blob.Mem)
		o.Artifacts, o.Wait = g, time.Millisecond
	})
	a.h.SetQuick(0)
	return a, g
}

func (a *api) get(name, version string) mlflowapi.ModelVersion {
	a.t.Helper()
	return ok[versionAnswer](a, "GET", "model-versions/get?name="+name+"&version="+version, "").ModelVersion
}

// await asks until the version is not pending, as clients do.
func (a *api) await(name, version string) mlflowapi.ModelVersion {
	a.t.Helper()
	var v mlflowapi.ModelVersion
	require.Eventually(a.t, func() bool {
		v = a.get(name, version)
		return v.Status != mlflowapi.VersionPending
	}, 20*time.Second, 5*time.Millisecond)
	return v
}

func TestLongCopy(t *testing.T) {
	t.Parallel()
	a, g := newGated(t, new(registrytest.Mem))
	m := a.logged("", modelFiles)
	a.model("fraud")
	v := a.create("fraud", "models:/"+string(m.ID), `,"model_id":"`+string(m.ID)+`"`)
	require.Equal(t, mlflowapi.VersionPending, v.Status)
	require.Equal(t, mlflowapi.VersionPending, a.get("fraud", "1").Status)
	_, err := a.reg.Open(t.Context(), must(a.reg.Resolve(t.Context(), "fraud/1")))
	require.ErrorIs(t, err, registry.ErrNotFound)
	require.Equal(t, m.ArtifactURI, ok[mlflowapi.GetModelVersionDownloadURIResponse](a, "GET", "model-versions/get-download-uri?name=fraud&version=1", "").ArtifactURI)
	close(g.open)
	require.Equal(t, mlflowapi.VersionReady, a.await("fraud", "1").Status)
	require.Equal(t, modelFiles, a.opened("fraud/1"))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A copy that a crash cut off goes on when somebody asks for the version.
func TestCopyAfterCrash(t *testing.T) {
	t.Parallel()
	store := new(registrytest.Mem)
	a, _ := newGated(t, store)
	m := a.logged("", modelFiles)
	a.model("fraud")
	a.create("fraud", "models:/"+string(m.ID), `,"model_id":"`+string(m.ID)+`"`)
	require.NoError(t, a.h.Shutdown(t.Context())) // breaks it off
	require.Equal(t, mlflowapi.VersionPending, a.get("fraud", "1").Status)

	next, err := mlflow.NewHandler(a.reg, &mlflow.Options{Tracking: a.runs, Artifacts: a.files})
	require.NoError(t, err)
	a.h = next
	require.Equal(t, mlflowapi.VersionReady, a.await("fraud", "1").Status)
	require.Equal(t, modelFiles, a.opened("fraud/1"))
	require.NoError(t, next.Shutdown(t.Context()))
	require.NoError(t, next.Shutdown(t.Context()))
}

// A copy that fails for now is tried again, one that cannot succeed is given up.
func TestCopyFails(t *testing.T) {
	t.Parallel()
	a, g := newGated(t, new(registrytest.Mem))
	g.fail.Store(true)
	close(g.open)
	m := a.logged("", modelFiles)
	a.model("fraud")
	a.create("fraud", "models:/"+string(m.ID), `,"model_id":"`+string(m.ID)+`"`)
	require.Equal(t, mlflowapi.VersionPending, a.get("fraud", "1").Status)
	v, err := a.reg.Declare(t.Context(), "fraud", registry.Draft{Source: "models:/m-gone", LoggedModel: "m-gone"}, true)
	require.NoError(t, err)
	require.Equal(t, 2, v.Number)
	failed := a.await("fraud", "2")
	require.Equal(t, mlflowapi.VersionFailed, failed.Status)
	require.Contains(t, failed.StatusMessage, "no files")
}
