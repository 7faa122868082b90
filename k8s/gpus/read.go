package gpus

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// ReadOptions changes Read and ReadTypes. nil is the zero value.
type ReadOptions struct {
	// Nodes is a label selector of the nodes that count, such as "pool=training".
	// Default "": all.
	Nodes string
}

// page is how many objects a request asks for: what is held at once stays small
// on clusters with many pods.
const page = 500

var (
	kindSlices = kube.Kind{Group: "resource.k8s.io", Version: "v1", Resource: "resourceslices", Kind: "ResourceSlice", Cluster: true}
	kindClaims = kube.Kind{Group: "resource.k8s.io", Version: "v1", Resource: "resourceclaims", Kind: "ResourceClaim"}
)

// Read takes the inventory of the cluster of cfg. It needs the rights of
// rbac.Inventory.
func Read(ctx context.Context, cfg *rest.Config, opts *ReadOptions) (*Inventory, error) {
	b, client, devices, err := readNodes(ctx, cfg, opts)
	if err != nil {
		return nil, err
	}
	running := "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
	err = pages(func(o *kube.ListOptions) (string, error) {
		var list corev1.PodList
		o.Fields = running
		if err := client.List(ctx, kube.Pods, "", o, &list); err != nil {
			return "", err
		}
		for i := range list.Items {
			b.Pod(&list.Items[i])
		}
		return list.Continue, nil
	})
	if err != nil {
		return nil, fmt.Errorf("gpus: read pods: %w", err)
	}
	if !devices {
		return b.Inventory(), nil
	}
	err = pages(func(o *kube.ListOptions) (string, error) {
		var list objects[resourcev1.ResourceClaim]
		if err := client.List(ctx, kindClaims, "", o, &list); err != nil {
			return "", err
		}
		for i := range list.Items {
			b.Claim(&list.Items[i])
		}
		return list.Metadata.Continue, nil
	})
	if err != nil {
		return nil, fmt.Errorf("gpus: read claims: %w", err)
	}
	return b.Inventory(), nil
}

// ReadTypes reads only which types the nodes have, for Match: it needs the right
// to list nodes, and resource slices where a DRA driver offers devices.
func ReadTypes(ctx context.Context, cfg *rest.Config, opts *ReadOptions) ([]Type, error) {
	b, _, _, err := readNodes(ctx, cfg, opts)
	if err != nil {
		return nil, err
	}
	return b.Inventory().Types(), nil
}

// readNodes reads the nodes and what drivers offer on them, and says whether
// there are drivers.
func readNodes(ctx context.Context, cfg *rest.Config, opts *ReadOptions) (*Builder, *kube.Client, bool, error) {
	var o ReadOptions
	if opts != nil {
		o = *opts
	}
	client, err := kube.New(cfg, &kube.Options{UserAgent: "millwright-gpus"})
	if err != nil {
		return nil, nil, false, err
	}
	b := &Builder{}
	err = pages(func(lo *kube.ListOptions) (string, error) {
		var list corev1.NodeList
		lo.Labels = o.Nodes
		if err := client.List(ctx, kube.Nodes, "", lo, &list); err != nil {
			return "", err
		}
		for i := range list.Items {
			b.Node(&list.Items[i])
		}
		return list.Continue, nil
	})
	if err != nil {
		return nil, nil, false, fmt.Errorf("gpus: read nodes: %w", err)
	}
	served, err := client.Serves(ctx, kindSlices)
	if err != nil {
		return nil, nil, false, fmt.Errorf("gpus: read devices: %w", err)
	}
	devices := false
	if served {
		err = pages(func(o *kube.ListOptions) (string, error) {
			var list objects[resourcev1.ResourceSlice]
			if err := client.List(ctx, kindSlices, "", o, &list); err != nil {
				return "", err
			}
			for i := range list.Items {
				b.Slice(&list.Items[i])
				devices = true
			}
			return list.Metadata.Continue, nil
		})
		if err != nil {
			return nil, nil, false, fmt.Errorf("gpus: read devices: %w", err)
		}
	}
	return b, client, devices, nil
}

// objects is a list of a group that the client reads as JSON.
type objects[T any] struct {
	Metadata metav1.ListMeta `json:"metadata"`
	Items    []T             `json:"items"`
}

// pages calls next until it says that there is nothing more.
func pages(next func(*kube.ListOptions) (more string, err error)) error {
	more := ""
	for {
		var err error
		if more, err = next(&kube.ListOptions{Limit: page, Continue: more}); err != nil || more == "" {
			return err
		}
	}
}
