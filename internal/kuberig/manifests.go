package kuberig

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// The kinds that the managers' manifests have.
var (
	crdKind        = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	mutatingKind   = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}
	validatingKind = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
	runtimeKind    = schema.GroupVersionResource{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "clustertrainingruntimes"}
)

// manifests reads the objects of all YAML files that a pattern matches in the
// folder of a manager.
func (c *Cluster) manifests(manager, pattern string) ([]*unstructured.Unstructured, error) {
	paths, err := filepath.Glob(filepath.Join(c.tools.manifests, manager, pattern))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("kuberig: manifests of %s: %w", manager, ErrNotBuilt)
	}
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			o := &unstructured.Unstructured{}
			err := decoder.Decode(o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("kuberig: %s: %w", path, err)
			}
			if o.GetKind() != "" && o.GetKind() != "Kustomization" {
				objects = append(objects, o)
			}
		}
	}
	return objects, nil
}

// create makes an object, or finds it made by an earlier start.
func (c *Cluster) create(ctx context.Context, kind schema.GroupVersionResource, o *unstructured.Unstructured) error {
	_, err := c.dynamic.Resource(kind).Create(ctx, o, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("kuberig: create %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// installResources installs the custom resources of a manager and waits until
// they are served.
func (c *Cluster) installResources(ctx context.Context, m *manager) error {
	objects, err := c.manifests(m.name, "crds/*.yaml")
	if err != nil {
		return err
	}
	for _, o := range objects {
		terse(o.Object["spec"])
		if slices.Contains(m.converted, o.GetName()) {
			hook := object{"clientConfig": c.hook(m, "/convert"), "conversionReviewVersions": []any{"v1"}}
			if err := unstructured.SetNestedField(o.Object, object{"strategy": "Webhook", "webhook": hook}, "spec", "conversion"); err != nil {
				return err
			}
		}
		if err := c.create(ctx, crdKind, o); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if err := c.established(ctx, o.GetName()); err != nil {
			return err
		}
	}
	return nil
}

// terse takes the descriptions out of a schema. They are most of its megabyte,
// which the API server reads again for every custom resource that is added.
func terse(schema any) {
	switch v := schema.(type) {
	case object:
		// A property may have that name too, but is no text.
		if _, ok := v["description"].(string); ok {
			delete(v, "description")
		}
		for _, item := range v {
			terse(item)
		}
	case []any:
		for _, item := range v {
			terse(item)
		}
	}
}

// established waits until the API server serves a custom resource.
func (c *Cluster) established(ctx context.Context, name string) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		o, err := c.dynamic.Resource(crdKind).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions") // absent is not yet
		for _, item := range conditions {
			if cond, ok := item.(object); ok && cond["type"] == "Established" && cond["status"] == "True" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kuberig: custom resource %s is not established: %w", name, ctx.Err())
		case <-ticker.C:
		}
	}
}

// hook is the way to a webhook of a manager.
func (c *Cluster) hook(m *manager, path string) object {
	return object{
		"url":      fmt.Sprintf("https://%s%s", address(m.hook), path),
		"caBundle": base64.StdEncoding.EncodeToString(c.pki.pem),
	}
}

// installWebhooks installs the webhooks of a manager, by URL and not by service,
// as no service leads to this process.
func (c *Cluster) installWebhooks(ctx context.Context, m *manager) error {
	objects, err := c.manifests(m.name, "webhook/manifests.yaml")
	if err != nil {
		return err
	}
	for _, o := range objects {
		kind := mutatingKind
		if o.GetKind() == "ValidatingWebhookConfiguration" {
			kind = validatingKind
		}
		// They are all of the same name as generated.
		o.SetName(m.name + "-" + o.GetName())
		hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
		if err != nil {
			return err
		}
		var kept []any
		for _, item := range hooks {
			hook, ok := item.(object)
			if !ok {
				return fmt.Errorf("kuberig: %s of %s: a webhook is no object", o.GetName(), m.name)
			}
			name, _, _ := unstructured.NestedString(hook, "name") // an absent one is not dropped
			if m.drop != nil && m.drop(name) {
				continue
			}
			path, _, err := unstructured.NestedString(hook, "clientConfig", "service", "path")
			if err != nil {
				return err
			}
			hook["clientConfig"] = c.hook(m, path)
			if m.name == JobSet && (name == "mpod.kb.io" || name == "vpod.kb.io") {
				// As JobSet's own installation does: only its pods.
				hook["objectSelector"] = object{"matchExpressions": []any{object{"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}}}
			}
			kept = append(kept, hook)
		}
		if len(kept) == 0 {
			continue
		}
		o.Object["webhooks"] = kept
		if err := c.create(ctx, kind, o); err != nil {
			return err
		}
	}
	return nil
}

// installRuntimes installs the training runtimes that come with Trainer. They go
// through its webhook, which may take a moment to be called.
func (c *Cluster) installRuntimes(ctx context.Context) error {
	objects, err := c.manifests(Trainer, "runtimes/*.yaml")
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetKind() != "ClusterTrainingRuntime" {
			continue
		}
		if err := c.create(ctx, runtimeKind, o); err != nil {
			return err
		}
	}
	return nil
}

// dial asks whether something listens on a port.
func dial(port int) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(port))
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
