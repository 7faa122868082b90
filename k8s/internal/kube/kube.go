package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Kind names one resource of the API and where it is served.
type Kind struct {
	Group    string // "" for the core group
	Version  string
	Resource string // plural, lower case
	Kind     string
	Cluster  bool // not in a namespace
}

// The kinds that every cluster has.
var (
	Jobs            = Kind{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job"}
	Pods            = Kind{Version: "v1", Resource: "pods", Kind: "Pod"}
	Events          = Kind{Version: "v1", Resource: "events", Kind: "Event"}
	Services        = Kind{Version: "v1", Resource: "services", Kind: "Service"}
	ConfigMaps      = Kind{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}
	Secrets         = Kind{Version: "v1", Resource: "secrets", Kind: "Secret"}
	Claims          = Kind{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim"}
	Quotas          = Kind{Version: "v1", Resource: "resourcequotas", Kind: "ResourceQuota"}
	LimitRanges     = Kind{Version: "v1", Resource: "limitranges", Kind: "LimitRange"}
	ServiceAccounts = Kind{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount"}
	Namespaces      = Kind{Version: "v1", Resource: "namespaces", Kind: "Namespace", Cluster: true}
	Nodes           = Kind{Version: "v1", Resource: "nodes", Kind: "Node", Cluster: true}
	Roles           = Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles", Kind: "Role"}
	RoleBindings    = Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings", Kind: "RoleBinding"}
	NetworkPolicies = Kind{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies", Kind: "NetworkPolicy"}
	Leases          = Kind{Group: "coordination.k8s.io", Version: "v1", Resource: "leases", Kind: "Lease"}
	PriorityClasses = Kind{Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses", Kind: "PriorityClass", Cluster: true}
	AccessReviews   = Kind{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews", Kind: "SelfSubjectAccessReview", Cluster: true}
)

// APIVersion is the group and version as a manifest writes them.
func (k Kind) APIVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

// String is the resource as messages name it, such as "jobs.batch".
func (k Kind) String() string {
	if k.Group == "" {
		return k.Resource
	}
	return k.Resource + "." + k.Group
}

func (k Kind) path(namespace, name, sub string) string {
	var b strings.Builder
	if k.Group == "" {
		b.WriteString("/api/")
	} else {
		b.WriteString("/apis/" + k.Group + "/")
	}
	b.WriteString(k.Version)
	if !k.Cluster && namespace != "" {
		b.WriteString("/namespaces/" + namespace)
	}
	b.WriteString("/" + k.Resource)
	if name != "" {
		b.WriteString("/" + name)
	}
	if sub != "" {
		b.WriteString("/" + sub)
	}
	return b.String()
}

// Client speaks to one API server. Every method may be called from many
// goroutines; there is nothing to close.
type Client struct {
	rest    *rest.RESTClient
	host    string
	manager string
	found   discovered
}

// Options changes a Client. nil is the zero value.
type Options struct {
	// FieldManager is the owner that the server notes for what is applied.
	// Default "": "millwright".
	FieldManager string
	// UserAgent is what the server's audit log shows. Default "": the
	// FieldManager.
	UserAgent string
}

// New returns a client for the cluster of cfg. The cluster is not asked. Where
// cfg sets no limit on the rate of requests there is none: the server's own
// flow control answers when it is enough, and its answer is obeyed.
func New(cfg *rest.Config, opts *Options) (*Client, error) {
	if cfg == nil {
		return nil, fmt.Errorf("k8s: connect: no configuration of a cluster was given: %w", ErrInvalid)
	}
	if opts == nil {
		opts = &Options{}
	}
	manager := opts.FieldManager
	if manager == "" {
		manager = "millwright"
	}
	cfg = rest.CopyConfig(cfg)
	if cfg.QPS == 0 && cfg.RateLimiter == nil {
		cfg.QPS = -1
	}
	cfg.UserAgent = opts.UserAgent
	if cfg.UserAgent == "" {
		cfg.UserAgent = manager
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		batchv1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme, coordinationv1.AddToScheme,
		networkingv1.AddToScheme, authorizationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("k8s: connect: %w", err)
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	// The built-in types come as protobuf, which costs both sides a fraction of
	// JSON; servers fall back to JSON for what has none.
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	cfg.ContentType = "application/json"
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("k8s: connect: the configuration of the cluster cannot be used: %w: %w", err, ErrInvalid)
	}
	return &Client{rest: client, host: cfg.Host, manager: manager}, nil
}

// Host is the address of the API server.
func (c *Client) Host() string { return c.host }

// FieldManager is the owner that the server notes for what is applied.
func (c *Client) FieldManager() string { return c.manager }

// ListOptions narrows a List or a Watch. nil is the zero value.
type ListOptions struct {
	Labels string // label selector. Default "": all
	Fields string // field selector. Default "": all
	// Limit is the most objects of one page. Default 0: all at once.
	Limit int64
	// Continue is where the page before ended.
	Continue string
	// ResourceVersion is where a watch starts; for a list "0" accepts what the
	// server has in its cache.
	ResourceVersion string
	// Seconds ends a watch. Default 0: the server decides.
	Seconds int64
}

func (o *ListOptions) apply(r *rest.Request) *rest.Request {
	if o == nil {
		return r
	}
	for name, value := range map[string]string{
		"labelSelector": o.Labels, "fieldSelector": o.Fields, "continue": o.Continue, "resourceVersion": o.ResourceVersion,
	} {
		if value != "" {
			r = r.Param(name, value)
		}
	}
	if o.Limit > 0 {
		r = r.Param("limit", strconv.FormatInt(o.Limit, 10))
	}
	if o.Seconds > 0 {
		r = r.Param("timeoutSeconds", strconv.FormatInt(o.Seconds, 10))
	}
	return r
}

// Get reads one object into a typed object of the built-in groups, or into any
// value that encoding/json can fill.
func (c *Client) Get(ctx context.Context, kind Kind, namespace, name string, into any) error {
	return c.do(ctx, c.rest.Get().AbsPath(kind.path(namespace, name, "")), "get", kind, namespace, name, into)
}

// List reads a list object, as Get reads an object. An empty namespace is all.
func (c *Client) List(ctx context.Context, kind Kind, namespace string, opts *ListOptions, into any) error {
	return c.do(ctx, opts.apply(c.rest.Get().AbsPath(kind.path(namespace, "", ""))), "list", kind, namespace, "", into)
}

// Create makes one object. With dryRun the server checks it, also for fields that
// it does not know, and keeps nothing.
// into may be nil.
func (c *Client) Create(ctx context.Context, kind Kind, namespace string, object, into any, dryRun bool) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("k8s: create %s: %w", kind, err)
	}
	r := c.rest.Post().AbsPath(kind.path(namespace, "", "")).Param("fieldManager", c.manager).
		SetHeader("Content-Type", "application/json").Body(body)
	if dryRun {
		r = r.Param("dryRun", "All").Param("fieldValidation", "Strict")
	}
	return c.do(ctx, r, "create", kind, namespace, nameOf(object), into)
}

// Apply makes one object so by server-side apply, and takes over fields that
// others hold. With dryRun the server keeps nothing. into may be nil.
func (c *Client) Apply(ctx context.Context, kind Kind, namespace, name string, object, into any, dryRun bool) error {
	return c.ApplySub(ctx, kind, namespace, name, "", object, into, dryRun)
}

// ApplySub is Apply of one subresource, such as "status".
func (c *Client) ApplySub(ctx context.Context, kind Kind, namespace, name, sub string, object, into any, dryRun bool) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("k8s: apply %s: %w", kind, err)
	}
	r := c.rest.Patch(types.ApplyPatchType).AbsPath(kind.path(namespace, name, sub)).
		Param("fieldManager", c.manager).Param("force", "true").Body(body)
	if dryRun {
		r = r.Param("dryRun", "All")
	}
	return c.do(ctx, r, "apply", kind, namespace, name, into)
}

// Merge changes one object by a JSON merge patch. With metadata.resourceVersion
// in the patch it is refused when another was quicker. into may be nil.
func (c *Client) Merge(ctx context.Context, kind Kind, namespace, name string, patch, into any) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("k8s: patch %s: %w", kind, err)
	}
	r := c.rest.Patch(types.MergePatchType).AbsPath(kind.path(namespace, name, "")).Param("fieldManager", c.manager).Body(body)
	return c.do(ctx, r, "patch", kind, namespace, name, into)
}

// Delete removes one object; what it owns is removed in the background.
func (c *Client) Delete(ctx context.Context, kind Kind, namespace, name string) error {
	r := c.rest.Delete().AbsPath(kind.path(namespace, name, "")).SetHeader("Content-Type", "application/json").
		Body([]byte(`{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}`))
	return c.do(ctx, r, "delete", kind, namespace, name, nil)
}

// Logs opens the output of one container.
func (c *Client) Logs(ctx context.Context, namespace, pod string, params map[string]string) (io.ReadCloser, error) {
	r := c.rest.Get().AbsPath(Pods.path(namespace, pod, "log"))
	for name, value := range params {
		r = r.Param(name, value)
	}
	body, err := r.Stream(ctx)
	return body, c.fault("read the logs of", Pods, namespace, pod, err)
}

func (c *Client) do(ctx context.Context, r *rest.Request, op string, kind Kind, namespace, name string, into any) error {
	object, typed := into.(runtime.Object)
	if into != nil && !typed {
		r = r.SetHeader("Accept", "application/json")
	}
	result := r.Do(ctx)
	if err := result.Error(); err != nil {
		return c.fault(op, kind, namespace, name, err)
	}
	switch {
	case into == nil:
		return nil
	case typed:
		return c.fault(op, kind, namespace, name, result.Into(object))
	}
	data, err := result.Raw()
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	return c.fault(op, kind, namespace, name, err)
}

func nameOf(object any) string {
	if o, ok := object.(metav1.Object); ok {
		if o.GetName() != "" {
			return o.GetName()
		}
		return o.GetGenerateName()
	}
	return ""
}

// Change is one event of a watch.
type Change struct {
	Type   string // "ADDED", "MODIFIED", "DELETED" or "BOOKMARK"
	Object any    // as made by the watch's function
}

// Watch calls handle for each change until the server ends the watch (nil),
// handle returns an error, or ctx ends. fresh makes the objects that are filled:
// typed ones or values for encoding/json. ErrExpired says that the version is
// too old and a list must come first.
func (c *Client) Watch(ctx context.Context, kind Kind, namespace string, opts *ListOptions, fresh func() any, handle func(Change) error) error {
	r := opts.apply(c.rest.Get().AbsPath(kind.path(namespace, "", ""))).Param("watch", "true").Param("allowWatchBookmarks", "true")
	if _, typed := fresh().(runtime.Object); typed {
		return c.watchTyped(ctx, r, kind, namespace, handle)
	}
	body, err := r.SetHeader("Accept", "application/json").Stream(ctx)
	if err != nil {
		return c.fault("watch", kind, namespace, "", err)
	}
	defer func() { _ = body.Close() }() // nothing was written
	lines := bufio.NewReaderSize(body, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) == 0 {
			if errors.Is(err, io.EOF) {
				return ctx.Err()
			}
			if err != nil {
				return c.fault("watch", kind, namespace, "", err)
			}
			continue
		}
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return c.fault("watch", kind, namespace, "", err)
		}
		if event.Type == "ERROR" {
			var status metav1.Status
			_ = json.Unmarshal(event.Object, &status) // an empty status is an error too
			return c.fault("watch", kind, namespace, "", statusError(&status))
		}
		object := fresh()
		if err := json.Unmarshal(event.Object, object); err != nil {
			return c.fault("watch", kind, namespace, "", err)
		}
		if err := handle(Change{Type: event.Type, Object: object}); err != nil {
			return err
		}
	}
}

func (c *Client) watchTyped(ctx context.Context, r *rest.Request, kind Kind, namespace string, handle func(Change) error) error {
	w, err := r.Watch(ctx)
	if err != nil {
		return c.fault("watch", kind, namespace, "", err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, open := <-w.ResultChan():
			if !open {
				return ctx.Err()
			}
			if status, ok := event.Object.(*metav1.Status); ok {
				return c.fault("watch", kind, namespace, "", statusError(status))
			}
			if err := handle(Change{Type: string(event.Type), Object: event.Object}); err != nil {
				return err
			}
		}
	}
}
