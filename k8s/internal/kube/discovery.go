package kube

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// discovered remembers what the cluster serves, for a minute.
type discovered struct {
	mu      sync.Mutex
	at      time.Time
	groups  []metav1.APIGroup
	kinds   map[string][]metav1.APIResource // by group and version
	version string                          // the server's own
}

const discoveryAge = time.Minute

// Versions lists the versions of a group that the cluster serves, the preferred
// one first; none when it does not know the group.
func (c *Client) Versions(ctx context.Context, group string) ([]string, error) {
	c.found.mu.Lock()
	defer c.found.mu.Unlock()
	return c.versions(ctx, group)
}

func (c *Client) versions(ctx context.Context, group string) ([]string, error) {
	if time.Since(c.found.at) > discoveryAge {
		var list metav1.APIGroupList
		if err := c.raw(ctx, "/apis", &list); err != nil {
			return nil, err
		}
		c.found.at, c.found.groups, c.found.kinds = time.Now(), list.Groups, map[string][]metav1.APIResource{}
	}
	for _, g := range c.found.groups {
		if g.Name != group {
			continue
		}
		versions := []string{g.PreferredVersion.Version}
		for _, v := range g.Versions {
			if !slices.Contains(versions, v.Version) {
				versions = append(versions, v.Version)
			}
		}
		return versions, nil
	}
	return nil, nil
}

// Serves reports whether the cluster serves exactly that kind.
func (c *Client) Serves(ctx context.Context, kind Kind) (bool, error) {
	c.found.mu.Lock()
	defer c.found.mu.Unlock()
	if kind.Group != "" {
		versions, err := c.versions(ctx, kind.Group)
		if err != nil {
			return false, err
		}
		if !slices.Contains(versions, kind.Version) {
			return false, nil
		}
	} else if c.found.kinds == nil {
		c.found.kinds = map[string][]metav1.APIResource{}
	}
	list, ok := c.found.kinds[kind.APIVersion()]
	if !ok {
		path := "/apis/" + kind.APIVersion()
		if kind.Group == "" {
			path = "/api/" + kind.Version
		}
		var resources metav1.APIResourceList
		if err := c.raw(ctx, path, &resources); err != nil && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrNotFound) {
			return false, err
		}
		list = resources.APIResources
		c.found.kinds[kind.APIVersion()] = list
	}
	return slices.ContainsFunc(list, func(r metav1.APIResource) bool { return r.Name == kind.Resource }), nil
}

// Version is the server's own, such as "v1.37.1".
func (c *Client) Version(ctx context.Context) (string, error) {
	c.found.mu.Lock()
	defer c.found.mu.Unlock()
	if c.found.version == "" {
		var info struct {
			GitVersion string `json:"gitVersion"`
		}
		if err := c.raw(ctx, "/version", &info); err != nil {
			return "", err
		}
		c.found.version = info.GitVersion
	}
	return c.found.version, nil
}

// Forget drops what is remembered of the cluster, so that the next question
// goes to it.
func (c *Client) Forget() {
	c.found.mu.Lock()
	c.found.at, c.found.kinds, c.found.version = time.Time{}, nil, ""
	c.found.mu.Unlock()
}

func (c *Client) raw(ctx context.Context, path string, into any) error {
	kind := Kind{Kind: "path", Cluster: true}
	return c.do(ctx, c.rest.Get().AbsPath(path), "discover", kind, "", path, &jsonOnly{into})
}

// jsonOnly keeps a type of the meta group from being taken for a typed object.
type jsonOnly struct{ into any }

// UnmarshalJSON fills the wrapped value.
func (j *jsonOnly) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, j.into) }
