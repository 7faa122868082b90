package kuberig

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// managedLabel is on the nodes that kwok plays.
const managedLabel = prefix + "managed"

// atOnce is how many nodes are made or removed beside each other.
const atOnce = 32

// AddNodes adds nodes and waits until pods can be placed on them. The test's end
// removes them. It returns their names.
func (c *Cluster) AddNodes(t testing.TB, spec NodeSpec) []string {
	t.Helper()
	names, err := c.addNodes(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := each(context.WithoutCancel(t.Context()), len(names), func(ctx context.Context, i int) error {
			return c.RemoveNode(ctx, names[i])
		})
		if err != nil && !c.down() {
			t.Error(err)
		}
	})
	return names
}

// AddNodesUntil is AddNodes for a caller that is no test. The nodes stay.
func (c *Cluster) AddNodesUntil(ctx context.Context, spec NodeSpec) ([]string, error) {
	return c.addNodes(ctx, spec)
}

func (c *Cluster) addNodes(ctx context.Context, spec NodeSpec) ([]string, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	names := make([]string, spec.Count)
	err := each(ctx, spec.Count, func(ctx context.Context, i int) (err error) {
		names[i], err = c.addNode(ctx, spec)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, c.awaitNodes(ctx, names)
}

// each does something n times, some of it beside each other, until an error.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	for begin := 0; begin < n; begin += atOnce {
		var steps []func(context.Context) error
		for i := begin; i < min(begin+atOnce, n); i++ {
			steps = append(steps, func(ctx context.Context) error { return do(ctx, i) })
		}
		if err := together(ctx, steps...); err != nil {
			return err
		}
	}
	return nil
}

// complete fills in the defaults.
func (s *NodeSpec) complete() error {
	s.Count = max(s.Count, 1)
	if s.GPUs == 0 && len(s.MIG) == 0 {
		s.GPUs = 8
	}
	def := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	if s.GPUs > 0 || len(s.MIG) > 0 {
		def(&s.Name, "gpu")
		def(&s.Product, "NVIDIA-H100-80GB-HBM3")
		if s.GPUMemory == 0 {
			s.GPUMemory = 81559
		}
	}
	def(&s.Name, "cpu")
	def(&s.CPU, "192")
	def(&s.Memory, "2Ti")
	for _, q := range []string{s.CPU, s.Memory} {
		if _, err := resource.ParseQuantity(q); err != nil {
			return fmt.Errorf("kuberig: node %s: %q: %w", s.Name, q, err)
		}
	}
	return nil
}

// node is the object of one node.
func (s *NodeSpec) node(name string, port int) *corev1.Node {
	labels := map[string]string{
		managedLabel: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
	}
	capacity := corev1.ResourceList{
		"cpu": resource.MustParse(s.CPU), "memory": resource.MustParse(s.Memory),
		"pods": resource.MustParse("250"), "ephemeral-storage": resource.MustParse("10Ti"),
	}
	if s.GPUs > 0 || len(s.MIG) > 0 {
		labels["nvidia.com/gpu.present"] = "true"
		labels["nvidia.com/gpu.product"] = s.Product
		labels["nvidia.com/gpu.count"] = strconv.Itoa(max(s.GPUs, 8))
		labels["nvidia.com/gpu.memory"] = strconv.Itoa(s.GPUMemory)
	}
	if s.GPUs > 0 {
		labels["nvidia.com/gpu.count"] = strconv.Itoa(s.GPUs)
		capacity["nvidia.com/gpu"] = *resource.NewQuantity(int64(s.GPUs), resource.DecimalSI)
	}
	for profile, n := range s.MIG {
		labels["nvidia.com/mig.strategy"] = "mixed"
		capacity[corev1.ResourceName("nvidia.com/mig-"+profile)] = *resource.NewQuantity(int64(n), resource.DecimalSI)
	}
	if s.Zone != "" {
		labels["topology.kubernetes.io/zone"] = s.Zone
	}
	if s.Rack != "" {
		labels[RackLabel] = s.Rack
	}
	maps.Copy(labels, s.Labels)
	now := metav1.Now()
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.NodeSpec{Taints: s.Taints},
		Status: corev1.NodeStatus{
			Capacity: capacity, Allocatable: capacity,
			Addresses:       []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "localhost"}, {Type: corev1.NodeInternalIP, Address: "127.0.0.1"}},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(port)}},
			NodeInfo:        corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64", KubeletVersion: "v1.37.1"},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
				LastHeartbeatTime: now, LastTransitionTime: now,
			}},
		},
	}
}

// addNode makes a node under the next free name.
func (c *Cluster) addNode(ctx context.Context, spec NodeSpec) (string, error) {
	nodes := c.client.CoreV1().Nodes()
	for {
		c.mu.Lock()
		c.nodes++
		name := fmt.Sprintf("%s-%d", spec.Name, c.nodes)
		c.mu.Unlock()
		node := spec.node(name, c.kubelet.port)
		made, err := nodes.Create(ctx, node, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("kuberig: add the node %s: %w", name, err)
		}
		// Creating keeps the status out, as a kubelet's registration would not.
		err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			made.Status = node.Status
			_, err := nodes.UpdateStatus(ctx, made, metav1.UpdateOptions{})
			if apierrors.IsConflict(err) {
				var e error
				if made, e = nodes.Get(ctx, name, metav1.GetOptions{}); e != nil {
					return e
				}
			}
			return err
		})
		if err != nil {
			return "", fmt.Errorf("kuberig: status of the node %s: %w", name, err)
		}
		return name, nil
	}
}

// awaitNodes waits until the nodes are ready and untainted, which the controller
// manager sees to.
func (c *Cluster) awaitNodes(ctx context.Context, names []string) error {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		for _, node := range list.Items {
			if wanted[node.Name] && !tainted(&node) {
				delete(wanted, node.Name)
			}
		}
		if len(wanted) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kuberig: %d nodes do not get ready: %w", len(wanted), ctx.Err())
		case <-ticker.C:
		}
	}
}

// tainted tells that a node has the taint of one that is not ready.
func tainted(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return true
		}
	}
	return false
}
