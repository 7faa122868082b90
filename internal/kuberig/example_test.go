package kuberig_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s/rbac"
)

const exampleDir = "../../examples/train-gpu-job"

// The manifests in Git are what the server accepts, and the service with their
// rights, and no other, runs a job on the cluster, is killed and finds it again.
func TestExampleTrainGPUJob(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	program := filepath.Join(t.TempDir(), "train-gpu-job")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./examples/train-gpu-job")
	build.Dir = "../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	c.AddNodes(t, kuberig.NodeSpec{Count: 1, GPUs: -1, Labels: map[string]string{kuberig.PoolLabel: ns}}) // for whatever a pod without GPUs needs

	// Here namespace "trainer" is the test's own, as is "team-a".
	for _, file := range []string{"rbac.yaml", "service.yaml"} {
		text, err := os.ReadFile(filepath.Join(exampleDir, "deploy", file))
		require.NoError(t, err)
		own := strings.NewReplacer("namespace: trainer", "namespace: "+ns, "namespace: team-a", "namespace: "+ns, "name: train-gpu-job", "name: "+ns).Replace(string(text))
		applyYAML(t, c, []byte(own), file != "rbac.yaml")
	}
	cfg, err := c.ServiceAccount(t.Context(), ns, ns)
	require.NoError(t, err)
	features := []rbac.Feature{rbac.Run, rbac.Logs, rbac.Events, rbac.Quota, rbac.Nodes}
	c.Eventually(t, "the rights are there", func(ctx context.Context) error { return rbac.Require(ctx, cfg, ns, features...) })
	kubeconfig, err := c.KubeconfigOf(cfg)
	require.NoError(t, err)

	stranger, err := c.ServiceAccount(t.Context(), ns, "default")
	require.NoError(t, err)
	theirs, err := c.KubeconfigOf(stranger)
	require.NoError(t, err)
	out, err = exec.CommandContext(t.Context(), program, "-kubeconfig", theirs, "-namespace", ns, "-addr", "127.0.0.1:0").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "create jobs.batch in namespace "+ns+" (Submit cannot make the Job)")

	start := func() (url string, kill func()) {
		cmd := exec.CommandContext(t.Context(), program, "-addr", "127.0.0.1:0", "-kubeconfig", kubeconfig, "-namespace", ns, "-image", "registry.example/train-gpu-job:1")
		cmd.Stderr = t.Output()
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		kill = func() { _, _ = cmd.Process.Kill(), cmd.Wait() }
		t.Cleanup(kill)
		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		return strings.TrimSpace(strings.TrimPrefix(line, "Training at ")), kill
	}
	ask := func(method, url, body string) (string, int) {
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Idempotency-Key", "order-7")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return string(text), resp.StatusCode
	}
	const body = `{"name":"line","team":"vision","env":{"STEPS":"300"}}`
	url, kill := start()
	text, code := ask(http.MethodPost, url+"/jobs", body)
	require.Equal(t, http.StatusCreated, code, text)
	var job struct {
		ID     string
		Status struct{ Phase string }
	}
	require.NoError(t, json.Unmarshal([]byte(text), &job))
	kill()

	url, _ = start()
	text, code = ask(http.MethodPost, url+"/jobs", body)
	require.Equal(t, http.StatusCreated, code, text)
	require.Contains(t, text, job.ID, "the same key is the same job")
	text, code = ask(http.MethodPost, url+"/jobs", `{"name":"other"}`)
	require.Equal(t, http.StatusConflict, code, text)
	c.Eventually(t, "the job succeeds", func(context.Context) error {
		text, _ := ask(http.MethodGet, url+"/jobs/"+job.ID, "")
		if err := json.Unmarshal([]byte(text), &job); err != nil {
			return err
		}
		if job.Status.Phase != "succeeded" {
			return fmt.Errorf("%s", text)
		}
		return nil
	})
	for _, path := range []string{"/why", "/logs", "/events", "/usage"} {
		text, code = ask(http.MethodGet, url+"/jobs/"+job.ID+path, "")
		require.Equal(t, http.StatusOK, code, "%s: %s", path, text)
	}
	text, code = ask(http.MethodPost, url+"/plan", `{"name":"x","gpu":{"count":8,"types":["Abacus"]}}`)
	require.Contains(t, text, "Abacus", code)
	text, code = ask(http.MethodDelete, url+"/jobs/"+job.ID, "")
	require.Equal(t, http.StatusNoContent, code, text)
}
