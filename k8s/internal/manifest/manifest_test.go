package manifest_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/train"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func small() train.Spec {
	return train.Spec{Name: "fraud", Image: "registry.example/fraud:1", Command: []string{"python3", "train.py"}}
}

func full() train.Spec {
	return train.Spec{
		Name: "llm", Image: "registry.example/llm:2", Command: []string{"torchrun", "train.py"}, Dir: "/srv",
		Env:     map[string]string{"B": "$(A)", "A": "1"},
		Secrets: []train.Secret{{Env: "TOKEN", Name: "hub", Key: "token"}},
		Volumes: []train.Volume{
			{Path: "/data", Claim: "data", ReadOnly: true}, {Path: "/etc/cfg", ConfigMap: "cfg"}, {Path: "/etc/key", Secret: "key"},
			{Path: "/scratch", Scratch: 1 << 30}, {Path: "/host", HostPath: "/mnt/x"},
		},
		Nodes: 4, Launch: train.Torchrun,
		Resources:  train.Resources{CPU: 1.5, Memory: 64 << 30, Disk: 1 << 30},
		GPU:        train.GPU{Count: 8, Types: []string{"H100"}},
		Checkpoint: train.Checkpoint{URI: "s3://b/ckpt"},
		Retry:      train.Retry{Infra: 5, ExitCodes: map[int]train.Action{42: train.RetryInfra, 3: train.RetryInfra, 7: train.Fail}},
		Deadline:   12 * time.Hour, Grace: 2 * time.Minute, TTL: 24 * time.Hour,
		Priority: "high", Team: "nlp", Labels: map[string]string{"project": "x"}, Spot: train.SpotPrefer,
	}
}

func params(s train.Spec) *manifest.Params {
	p := &manifest.Params{ID: "job-0123456789abcdef0123", Namespace: "team-a", Key: "k", SpecJSON: `{"name":"…"}`, Hash: "h", Deadline: s.Deadline, Team: s.Team}
	if s.GPU.Count > 0 {
		p.GPU = manifest.GPU{Resource: "nvidia.com/gpu", Count: s.GPU.Count, Terms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: "nvidia.com/gpu.product", Operator: corev1.NodeSelectorOpIn, Values: []string{"NVIDIA-H100-80GB-HBM3"}},
		}}}}
	}
	return p
}

// The golden files are what reviewers read; -rewrite writes them anew.
func TestGolden(t *testing.T) {
	t.Parallel()
	withQueue := params(full())
	withQueue.Queue, withQueue.Gang = "research", manifest.GangQueue
	native := params(full())
	native.Gang = manifest.GangNative
	volcano := params(full())
	volcano.Gang, volcano.Scheduler = manifest.GangVolcano, "volcano"
	mpi := full()
	mpi.Launch = train.MPI
	trainer := params(full())
	trainer.Runtime = "torch-distributed"
	claim := params(full())
	claim.GPU = manifest.GPU{Count: 8, Device: &manifest.Device{Class: "gpu.nvidia.com", Selectors: []string{"true"}}}
	for name, object := range map[string]any{
		"jobset":      manifest.JobSet(full(), volcano),
		"podgroup":    manifest.Group(full(), volcano, nil),
		"trainjob":    manifest.TrainJob(full(), trainer),
		"pytorchjob":  manifest.PyTorchJob(full(), params(full())),
		"mpijob":      manifest.MPIJob(mpi, params(mpi)),
		"claim":       manifest.Claim(full(), claim, nil),
		"job":         manifest.Job(small(), params(small())),
		"indexed":     manifest.Job(full(), native),
		"queued":      manifest.Job(full(), withQueue).Spec.Suspend,
		"service":     manifest.Service(full(), params(full()), nil),
		"retry-user":  manifest.Job(train.Spec{Name: "a", Image: "a", Retry: train.Retry{User: 2, ExitCodes: map[int]train.Action{9: train.Fail}}}, params(small())).Spec.PodFailurePolicy,
		"retry-never": manifest.Job(train.Spec{Name: "a", Image: "a", Retry: train.Retry{Infra: -1}}, params(small())).Spec.PodFailurePolicy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := yaml.Marshal(object)
			require.NoError(t, err)
			path := filepath.Join("testdata", name+".yaml")
			if *rewrite {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(path, got, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		})
	}
}
