package kuberig_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

// Real containers, run by a real kubelet: make kube-real. What a simulated kubelet
// says of exit codes, signals, memory and logs is what its author believed.
func TestRealContainers(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUBE_REAL") != "1" { //nolint:forbidigo // The test run's own setting.
		t.Skip("make kube-real runs it: it takes root, and changes cgroups and mounts of the machine while it runs")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "train")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/train")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") //nolint:forbidigo // The test run's own.
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	c, node := kuberig.StartReal(t, &kuberig.Options{JobSet: true}, 8)
	const image = "localhost/train:1"
	require.NoError(t, node.Image(t.Context(), image, map[string]string{"train": program}, "/train"))
	w := &workshop{c: c, ns: c.Namespace(t)}
	l := w.launcher(t, kuberig.Behaviour{}, func(_ *rest.Config, o *k8s.Options) {
		o.NodeSelector = map[string]string{"kubernetes.io/hostname": kuberig.RealNodeName}
	})
	spec := func(name string) train.Spec {
		return train.Spec{Name: name, Image: image, GPU: train.GPU{Count: 1}, Retry: train.Retry{Infra: -1}}
	}

	t.Run("exit code", func(t *testing.T) {
		t.Parallel()
		s := spec("exit")
		s.Env = map[string]string{"EXIT": "7"}
		j := submitJob(t, l, s, "exit")
		result, err := j.Wait(patient(t))
		var user *train.UserError
		require.ErrorAs(t, err, &user)
		require.Equal(t, 7, user.ExitCode)
		require.Equal(t, []string{"ValueError: bad column"}, user.LastLines, "the kubelet takes them from the log")
		require.Equal(t, 1, result.Attempts)
	})
	t.Run("out of memory", func(t *testing.T) {
		t.Parallel()
		s := spec("eat")
		s.Env, s.Resources.Memory = map[string]string{"EAT": "1"}, 64<<20
		_, err := submitJob(t, l, s, "eat").Wait(patient(t))
		require.ErrorIs(t, err, train.ErrOOMKilled)
	})
	t.Run("no such secret", func(t *testing.T) {
		t.Parallel()
		s := spec("secret")
		s.Secrets = []train.Secret{{Env: "TOKEN", Name: "absent", Key: "token"}}
		j := submitJob(t, l, s, "secret")
		w.c.Eventually(t, "what it waits for", func(ctx context.Context) error {
			return answers(ctx, j, train.CauseConfig, `secret "absent" not found`)
		})
		require.NoError(t, j.Cancel(patient(t)))
	})
	t.Run("no such image", func(t *testing.T) {
		t.Parallel()
		s := spec("image")
		s.Image = "127.0.0.1:1/absent:1"
		j := submitJob(t, l, s, "image")
		w.c.Eventually(t, "what it waits for", func(ctx context.Context) error {
			return answers(ctx, j, train.CauseImagePull, "the image cannot be fetched")
		})
		require.NoError(t, j.Cancel(patient(t)))
	})
	// SIGTERM is answered with a checkpoint, and the next attempt goes on from it,
	// while somebody reads the log from its first line to its last.
	for _, how := range []string{"job", "jobset"} {
		t.Run("stop and resume "+how, func(t *testing.T) {
			t.Parallel()
			host, err := os.MkdirTemp(dir, "host")
			require.NoError(t, err)
			s := spec("resume")
			s.Volumes = []train.Volume{{Path: "/ckpt", HostPath: host}}
			s.Checkpoint.URI, s.Env, s.Retry.Infra = "/ckpt", map[string]string{"GO": "/ckpt/go"}, 3
			set := w.launcher(t, kuberig.Behaviour{}, func(_ *rest.Config, o *k8s.Options) {
				o.Backends, o.NodeSelector = []string{how}, map[string]string{"kubernetes.io/hostname": kuberig.RealNodeName}
			})
			j := submitJob(t, set, s, how)
			ctx := patient(t)
			lines, read := []string{}, make(chan error, 1)
			half := make(chan struct{})
			go func() {
				for line, err := range j.Logs(ctx, &train.LogOptions{Follow: true}) {
					if err != nil {
						read <- err
						return
					}
					if lines = append(lines, strconv.Itoa(line.Attempt)+": "+line.Text); line.Text == "step 19" {
						close(half)
					}
				}
				read <- nil
			}()
			select {
			case <-half:
			case err := <-read:
				t.Fatal("the log ended:", err)
			}
			require.NoError(t, j.Suspend(ctx))
			p, err := j.Progress(ctx)
			require.NoError(t, err)
			t.Logf("suspended at %+v", p)
			require.NoError(t, os.WriteFile(filepath.Join(host, "go"), nil, 0o600))
			require.NoError(t, j.Resume(ctx, nil))
			result, err := j.Wait(ctx)
			require.NoError(t, err)
			require.Equal(t, 2, result.Attempts)
			require.NoError(t, <-read)
			want := []string{"0: from step 1"}
			for step := range 20 {
				want = append(want, fmt.Sprintf("0: step %d", step+1))
			}
			want = append(want, "1: from step 21")
			for step := range 20 {
				want = append(want, fmt.Sprintf("1: step %d", step+21))
			}
			require.Equal(t, want, lines)
		})
	}
}

// answers asks a job why it waits.
func answers(ctx context.Context, j train.Job, cause train.Cause, text string) error {
	why, err := j.Why(ctx)
	if err == nil && (len(why.Findings) == 0 || why.Findings[0].Kind != cause || !strings.Contains(why.Text, text)) {
		err = fmt.Errorf("%+v", why)
	}
	return err
}
