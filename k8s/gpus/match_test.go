package gpus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/k8s/gpus"
	"github.com/millwright-ml/millwright/train"
)

func nvidia(name string, memory string, more ...string) gpus.Type {
	labels := map[string]string{"nvidia.com/gpu.product": name, "nvidia.com/gpu.memory": memory}
	for i := 0; i+1 < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return gpus.FromLabels(labels, "nvidia.com/gpu")
}

func cluster() []gpus.Type {
	return []gpus.Type{
		nvidia("NVIDIA-H100-80GB-HBM3", "81559"),
		nvidia("NVIDIA-H100-PCIe", "81559"),
		nvidia("NVIDIA-A100-SXM4-80GB", "81920"),
		nvidia("NVIDIA-A100-SXM4-40GB", "40960"),
		nvidia("NVIDIA-GH200-480GB", "97871"),
		nvidia("NVIDIA-A10G", "23028"),
		nvidia("NVIDIA-A10", "23028"),
		nvidia("Tesla-T4-SHARED", "15360"),
		nvidia("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "9728"),
		gpus.FromLabels(map[string]string{"nvidia.com/gpu.product": "NVIDIA-A30"}, "nvidia.com/mig-1g.6gb"),
		gpus.FromLabels(map[string]string{"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"}, "amd.com/gpu"),
	}
}

func names(types []gpus.Type) []string {
	var out []string
	for _, t := range types {
		out = append(out, t.Name)
	}
	return out
}

func TestMatch(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for name, c := range map[string]struct {
		want     train.GPU
		types    []string
		resource string
		fault    string
	}{
		"a product's name": {want: train.GPU{Count: 1, Types: []string{"H100"}}, types: []string{"NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"}},
		"best first": {
			want:  train.GPU{Count: 1, Types: []string{"a100-80gb", "h100"}},
			types: []string{"NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"},
		},
		"the full name":               {want: train.GPU{Count: 1, Types: []string{"nvidia-h100-pcie"}}, types: []string{"NVIDIA-H100-PCIe"}},
		"memory that no name says":    {want: train.GPU{Count: 1, Types: []string{"H100-PCIe-80GB"}}, types: []string{"NVIDIA-H100-PCIe"}},
		"A10 is not A10G":             {want: train.GPU{Count: 1, Types: []string{"A10"}}, types: []string{"NVIDIA-A10"}},
		"H100 is not GH200":           {want: train.GPU{Count: 1, Types: []string{"GH200"}}, types: []string{"NVIDIA-GH200-480GB"}},
		"80 GiB is nominal":           {want: train.GPU{Count: 1, MinMemory: 80 * gib, Types: []string{"H100"}}, types: []string{"NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"}},
		"memory":                      {want: train.GPU{Count: 1, MinMemory: 90 * gib}, types: []string{"NVIDIA-GH200-480GB"}},
		"another maker":               {want: train.GPU{Count: 1, Types: []string{"MI300X"}}, types: []string{"AMD_Instinct_MI300X_OAM"}, resource: "amd.com/gpu"},
		"slices of strategy single":   {want: train.GPU{Count: 2, MIG: "1g.10gb"}, types: []string{"NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"}},
		"slices of strategy mixed":    {want: train.GPU{Count: 2, MIG: "1g.6gb", Types: []string{"A30"}}, types: []string{"NVIDIA-A30"}, resource: "nvidia.com/mig-1g.6gb"},
		"shared, as asked":            {want: train.GPU{Count: 1, Types: []string{"T4"}, Shared: true}, types: []string{"Tesla-T4-SHARED"}},
		"shared, not asked":           {want: train.GPU{Count: 1, Types: []string{"T4"}}, fault: "Tesla-T4-SHARED is shared with other pods"},
		"an unknown type":             {want: train.GPU{Count: 1, Types: []string{"TPU"}}, fault: `match "TPU": NVIDIA-H100-80GB-HBM3 is not TPU`},
		"a profile that is not there": {want: train.GPU{Count: 1, MIG: "7g.80gb"}, fault: "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb has the MIG profile 1g.10gb"},
		"too much memory":             {want: train.GPU{Count: 1, Types: []string{"A10"}, MinMemory: 48 * gib}, fault: "NVIDIA-A10 has 22.49 GiB of memory"},
		"only vendors' names":         {want: train.GPU{Count: 1, Types: []string{"NVIDIA"}}, fault: "is not NVIDIA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule, err := gpus.Match(c.want, cluster())
			if c.fault != "" {
				require.ErrorIs(t, err, gpus.ErrNoMatch)
				require.ErrorContains(t, err, c.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.types, names(rule.Types))
			if c.resource == "" {
				c.resource = "nvidia.com/gpu"
			}
			require.EqualValues(t, c.resource, rule.Resource)
			require.Equal(t, c.want.Count, rule.Count)
			require.False(t, rule.Assumed)
			require.Len(t, rule.Skipped, len(cluster())-len(c.types), "each type is taken or said why not")
		})
	}
}

// The rule keeps a job off what it did not ask for, and ranks what it did.
func TestMatchAffinity(t *testing.T) {
	t.Parallel()
	rule, err := gpus.Match(train.GPU{Count: 8, Types: []string{"H100", "A100-80GB"}}, cluster())
	require.NoError(t, err)
	require.Len(t, rule.Terms, 1)
	in := rule.Terms[0].MatchExpressions[0]
	require.Equal(t, "nvidia.com/gpu.product", in.Key)
	require.Equal(t, []string{"NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"}, in.Values)
	require.Len(t, rule.Preferred, 1)
	require.EqualValues(t, 100, rule.Preferred[0].Weight)
	require.Equal(t, []string{"NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"}, rule.Preferred[0].Preference.MatchExpressions[0].Values)

	// Any whole GPU: on this cluster the same resource also counts slices.
	rule, err = gpus.Match(train.GPU{Count: 1}, cluster())
	require.NoError(t, err)
	require.NotContains(t, rule.Terms[0].MatchExpressions[0].Values, "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb")
	require.NotContains(t, rule.Terms[0].MatchExpressions[0].Values, "Tesla-T4-SHARED")

	// And where there is nothing else, the resource alone says it.
	rule, err = gpus.Match(train.GPU{Count: 1}, cluster()[:2])
	require.NoError(t, err)
	require.Empty(t, rule.Terms)
	require.Empty(t, rule.Preferred)

	// Node pools that name their GPUs by different labels are alternatives.
	gke := gpus.FromLabels(map[string]string{"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}, "nvidia.com/gpu")
	rule, err = gpus.Match(train.GPU{Count: 1, Types: []string{"H100"}}, append(cluster(), gke))
	require.NoError(t, err)
	require.Len(t, rule.Terms, 2)
}

func TestMatchWithoutGPUs(t *testing.T) {
	t.Parallel()
	rule, err := gpus.Match(train.GPU{}, nil)
	require.NoError(t, err)
	require.Zero(t, *rule)
	_, err = gpus.Match(train.GPU{Count: 1, MIG: "1g.5gb", MinMemory: 1 << 30, Types: []string{"A100"}}, []gpus.Type{})
	require.EqualError(t, err, `gpus: match "A100 MIG 1g.5gb of at least 1 GiB": the cluster has no GPUs: invalid`)
}

func TestMatchAssumes(t *testing.T) {
	t.Parallel()
	rule, err := gpus.Match(train.GPU{Count: 8, Types: []string{"H100"}, MinMemory: 90 << 30}, nil)
	require.NoError(t, err)
	require.True(t, rule.Assumed)
	require.Equal(t, []string{"NVIDIA-H100-NVL"}, names(rule.Types))
	require.Len(t, rule.Terms[0].MatchExpressions, 2, "the product, and no sharing")

	rule, err = gpus.Match(train.GPU{Count: 1, MinMemory: 80 << 30, Shared: true}, nil)
	require.NoError(t, err)
	require.Equal(t, "nvidia.com/gpu.memory", rule.Terms[0].MatchExpressions[0].Key)
	require.Equal(t, []string{"75365"}, rule.Terms[0].MatchExpressions[0].Values)

	rule, err = gpus.Match(train.GPU{Count: 1, MIG: "3g.40gb", Types: []string{"A100"}}, nil)
	require.NoError(t, err)
	require.EqualValues(t, "nvidia.com/mig-3g.40gb", rule.Resource)

	_, err = gpus.Match(train.GPU{Count: 1, Types: []string{"Abacus"}}, nil)
	require.ErrorIs(t, err, gpus.ErrNoMatch)
	require.ErrorContains(t, err, "the right to list nodes")
}

func TestMatchDevices(t *testing.T) {
	t.Parallel()
	device := gpus.Type{Name: "NVIDIA H100 80GB HBM3", Label: "productName", Driver: "gpu.nvidia.com", Memory: 81559 << 20}
	small := gpus.Type{Name: "NVIDIA L4", Label: "productName", Driver: "gpu.nvidia.com", Memory: 23034 << 20}
	rule, err := gpus.Match(train.GPU{Count: 2, Types: []string{"H100"}, MinMemory: 80 << 30}, []gpus.Type{small, device})
	require.NoError(t, err)
	require.Empty(t, rule.Resource)
	require.Equal(t, "gpu.nvidia.com", rule.Device.Driver)
	require.Equal(t, []string{
		`device.driver == "gpu.nvidia.com"`,
		`device.attributes["gpu.nvidia.com"].productName in ["NVIDIA H100 80GB HBM3"]`,
		`device.capacity["gpu.nvidia.com"].memory.compareTo(quantity("79027398228")) >= 0`,
	}, rule.Device.Selectors)

	// A device plugin that has the type too wins: every cluster understands it.
	rule, err = gpus.Match(train.GPU{Count: 2, Types: []string{"H100"}}, append(cluster(), device))
	require.NoError(t, err)
	require.Nil(t, rule.Device)
	require.EqualValues(t, "nvidia.com/gpu", rule.Resource)
}

func FuzzMatch(f *testing.F) {
	f.Add("H100", "NVIDIA-H100-80GB-HBM3", "81559", "", int64(80<<30))
	f.Add("A100-80GB", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb-SHARED", "9728", "1g.10gb", int64(0))
	f.Add("99999999999999999999gb", "x", "-1", "9g.99999999999999999999gb", int64(-1))
	f.Fuzz(func(t *testing.T, wish, product, memory, mig string, least int64) {
		have := []gpus.Type{nvidia(product, memory), gpus.FromLabels(nil, "nvidia.com/mig-"+mig)}
		want := train.GPU{Count: 1, Types: []string{wish}, MIG: mig, MinMemory: least}
		rule, err := gpus.Match(want, have)
		if err != nil {
			if !errors.Is(err, gpus.ErrNoMatch) || rule != nil {
				t.Fatal(err)
			}
			return
		}
		if len(rule.Types) == 0 || len(rule.Types)+len(rule.Skipped) != len(have) {
			t.Fatalf("%+v", rule)
		}
		for _, typ := range rule.Types {
			if !strings.EqualFold(typ.MIG, mig) || typ.Shared {
				t.Fatalf("%+v", typ)
			}
		}
	})
}
