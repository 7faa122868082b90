package gpus

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/train"
)

// known are products as GPU Feature Discovery, AMD's labeller and Google's node
// pools name them, for launchers that may not read nodes. Memory is what the
// device reports, in MiB.
var known = []struct {
	name, label string
	memory      int64
}{
	{"NVIDIA-B200", labelProduct, 183359},
	{"NVIDIA-B300", labelProduct, 275040},
	{"NVIDIA-GB200", labelProduct, 189471},
	{"NVIDIA-H200", labelProduct, 143771},
	{"NVIDIA-H200-NVL", labelProduct, 143771},
	{"NVIDIA-GH200-480GB", labelProduct, 97871},
	{"NVIDIA-H100-80GB-HBM3", labelProduct, 81559},
	{"NVIDIA-H100-PCIe", labelProduct, 81559},
	{"NVIDIA-H100-NVL", labelProduct, 95830},
	{"NVIDIA-A100-SXM4-80GB", labelProduct, 81920},
	{"NVIDIA-A100-80GB-PCIe", labelProduct, 81920},
	{"NVIDIA-A100-SXM4-40GB", labelProduct, 40960},
	{"NVIDIA-A100-PCIE-40GB", labelProduct, 40960},
	{"NVIDIA-L40S", labelProduct, 46068},
	{"NVIDIA-L40", labelProduct, 46068},
	{"NVIDIA-L4", labelProduct, 23034},
	{"NVIDIA-A40", labelProduct, 46068},
	{"NVIDIA-A30", labelProduct, 24576},
	{"NVIDIA-A10", labelProduct, 23028},
	{"NVIDIA-A10G", labelProduct, 23028},
	{"Tesla-T4", labelProduct, 15360},
	{"Tesla-V100-SXM2-16GB", labelProduct, 16384},
	{"Tesla-V100-SXM2-32GB", labelProduct, 32768},
	{"nvidia-b200", labelGKE, 183359},
	{"nvidia-h200-141gb", labelGKE, 143771},
	{"nvidia-h100-80gb", labelGKE, 81559},
	{"nvidia-h100-mega-80gb", labelGKE, 81559},
	{"nvidia-a100-80gb", labelGKE, 81920},
	{"nvidia-tesla-a100", labelGKE, 40960},
	{"nvidia-l4", labelGKE, 23034},
	{"nvidia-tesla-t4", labelGKE, 15360},
	{"nvidia-tesla-v100", labelGKE, 16384},
	{"AMD_Instinct_MI300X_OAM", labelAMD, 196608},
	{"AMD_Instinct_MI325X_OAM", labelAMD, 262144},
	{"AMD_Instinct_MI250X", labelAMD, 131072},
}

// assume is Match without knowledge of the cluster.
func assume(want train.GPU) (*Rule, error) {
	var have []Type
	for _, k := range known {
		resource, memory := resourceNVIDIA, k.memory<<20
		if k.label == labelAMD {
			resource = resourceAMD
		}
		if want.MIG != "" {
			resource, memory = prefixMIG+strings.ToLower(want.MIG), migMemory(want.MIG)
		}
		have = append(have, Type{
			Name: k.name, Label: k.label, Resource: resource, Memory: memory, MIG: strings.ToLower(want.MIG),
		})
	}
	rule, err := Match(want, have)
	if err != nil {
		// The name may be one of a product that is not in the list: then only a
		// look at the cluster can tell.
		return nil, fmt.Errorf("gpus: match %q without knowledge of the cluster's nodes: none of the known products fits, "+
			"give the launcher the right to list nodes: %w", strings.Join(want.Types, " or "), ErrNoMatch)
	}
	rule.Assumed, rule.Skipped = true, nil
	if len(want.Types) == 0 && want.MinMemory > 0 && want.MIG == "" {
		// The nodes' own labels say it better than a list of products.
		rule.Preferred = nil
		rule.Terms = []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: labelMemory, Operator: corev1.NodeSelectorOpGt,
			Values: []string{fmt.Sprint(want.MinMemory/100*nominal>>20 - 1)},
		}}}}
	}
	if !want.Shared {
		rule.refuseShared()
	}
	return rule, nil
}

// refuseShared keeps a job off nodes that say that they share their GPUs.
func (r *Rule) refuseShared() {
	refuse := corev1.NodeSelectorRequirement{
		Key: labelSharing, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"mps", "time-slicing"},
	}
	if len(r.Terms) == 0 {
		r.Terms = []corev1.NodeSelectorTerm{{}}
	}
	for i := range r.Terms {
		r.Terms[i].MatchExpressions = append(slices.Clone(r.Terms[i].MatchExpressions), refuse)
	}
}
