package kuberig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

// StopAPIServer ends the API server, as an upgrade of it does. Everything else
// keeps running. Not for a shared cluster.
func (c *Cluster) StopAPIServer() { c.process(APIServer).stop(10 * time.Second) }

// StartAPIServer starts the API server again, at the same address, and waits
// until it is ready. Its watch cache begins at the present: watching from an
// older version is answered with 410 Gone.
func (c *Cluster) StartAPIServer(ctx context.Context) error { return c.startAPIServer(ctx) }

// RestartAPIServer is StopAPIServer and StartAPIServer.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	c.StopAPIServer()
	return c.StartAPIServer(ctx)
}

// Kill ends a component as kill -9 does. It stays away until Revive; the API
// server until StartAPIServer. Not for a shared cluster.
func (c *Cluster) Kill(component string) error {
	p := c.process(component)
	if p == nil {
		return fmt.Errorf("kuberig: kill %q: it does not run", component)
	}
	p.kill()
	return nil
}

// Revive starts a component again that was killed.
func (c *Cluster) Revive(ctx context.Context, component string) error {
	switch component {
	case Etcd:
		return c.startEtcd()
	case APIServer:
		return c.startAPIServer(ctx)
	case Controllers:
		return c.startControllers(ctx)
	case Scheduler:
		return c.startScheduler(ctx)
	case Kwok:
		return c.startKwok(ctx)
	}
	return c.reviveManager(ctx, component)
}

// down tells that the API server does not run, on purpose.
func (c *Cluster) down() bool {
	p := c.process(APIServer)
	if p == nil {
		return true
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Compact throws away all versions of objects but the latest, so that a list or
// a watch that goes on from an older one is answered with 410 Gone by etcd.
func (c *Cluster) Compact(ctx context.Context) error {
	call := func(path, body string, out any) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address(c.ports.etcd)+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("kuberig: etcd answers %s to %s", resp.Status, path)
		}
		return json.NewDecoder(resp.Body).Decode(out)
	}
	var found struct {
		Header struct{ Revision string }
	}
	// "AA==" is the key of one zero byte, before all others.
	if err := call("/v3/kv/range", `{"key":"AA=="}`, &found); err != nil {
		return err
	}
	return call("/v3/kv/compaction", fmt.Sprintf(`{"revision":%q,"physical":true}`, found.Header.Revision), &struct{}{})
}

// Evict ends a pod by the eviction API, as draining a node does. The pod gets the
// condition DisruptionTarget.
func (c *Cluster) Evict(ctx context.Context, namespace, pod string) error {
	err := c.client.CoreV1().Pods(namespace).EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod}})
	if err != nil {
		return fmt.Errorf("kuberig: evict %s/%s: %w", namespace, pod, err)
	}
	return nil
}

// NodeLost makes a node fall silent: nothing changes on its pods any more and its
// state is unknown. The controllers do the rest: the taint, and after a second the
// deletion of its pods, with the condition DisruptionTarget. As with a real node
// they stay Terminating, until RemoveNode.
func (c *Cluster) NodeLost(ctx context.Context, name string) error {
	nodes := c.client.CoreV1().Nodes()
	// kwok lets go of a node without the label.
	_, err := nodes.Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"`+managedLabel+`":null}}}`), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("kuberig: lose the node %s: %w", name, err)
	}
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		node, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range node.Status.Conditions {
			if cond := &node.Status.Conditions[i]; cond.Type == corev1.NodeReady {
				// What the controller manager writes after 50 s of silence.
				cond.Status, cond.Reason, cond.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
				cond.LastTransitionTime = metav1.Now()
			}
		}
		_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("kuberig: lose the node %s: %w", name, err)
	}
	return nil
}

// RemoveNode deletes a node and ends the pods on it, as the cloud's controller and
// the pod garbage collector do within some minutes: they fail with the condition
// DisruptionTarget, reason DeletionByPodGC, and go.
func (c *Cluster) RemoveNode(ctx context.Context, name string) error {
	if err := c.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !gone(err) {
		return fmt.Errorf("kuberig: remove the node %s: %w", name, err)
	}
	pods, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + name})
	if err != nil {
		return fmt.Errorf("kuberig: pods of the node %s: %w", name, err)
	}
	var errs []error
	for i := range pods.Items {
		errs = append(errs, c.collect(ctx, &pods.Items[i]))
	}
	return errors.Join(errs...)
}

// collect ends a pod whose node has gone.
func (c *Cluster) collect(ctx context.Context, pod *corev1.Pod) error {
	pods := c.client.CoreV1().Pods(pod.Namespace)
	if pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning {
		patch := fmt.Sprintf(`{"status":{"phase":"Failed","conditions":[{"type":"DisruptionTarget","status":"True",`+
			`"reason":"DeletionByPodGC","message":"PodGC: node no longer exists","lastTransitionTime":%q}]}}`, time.Now().UTC().Format(time.RFC3339))
		if _, err := pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
			if gone(err) {
				return nil
			}
			return fmt.Errorf("kuberig: fail the pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	now := int64(0)
	if err := pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !gone(err) {
		return fmt.Errorf("kuberig: delete the pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
