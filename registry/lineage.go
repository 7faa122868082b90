package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// NodeKind says what a Node of a lineage is.
type NodeKind string

// The kinds of nodes, from the origin to the use.
const (
	NodeCode       NodeKind = "code"
	NodeDataset    NodeKind = "dataset"
	NodeRun        NodeKind = "run"
	NodeVersion    NodeKind = "model_version"
	NodeAlias      NodeKind = "alias"
	NodeDeployment NodeKind = "deployment"
	NodeReport     NodeKind = "report"
)

// Node is one thing in a lineage.
type Node struct {
	// ID is unique in its graph: the kind, a colon and the name.
	ID   string   `json:"id"`
	Kind NodeKind `json:"kind"`
	Name string   `json:"name"`
	// Attrs are facts about it: a digest, a time, a status.
	Attrs map[string]string `json:"attrs,omitempty"`
}

// Edge says that To was made from, or uses, From.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Label is the relation in words: "training", "produced".
	Label string `json:"label,omitempty"`
}

// Graph is the lineage of a version: down to data and code, up to where it is
// used. Nodes and Edges are sorted, so that equal graphs have equal JSON.
type Graph struct {
	// Version is the id of the node it is about.
	Version string `json:"version"`
	Nodes   []Node `json:"nodes"`
	Edges   []Edge `json:"edges"`
}

// LineageOptions of Lineage; nil takes every default.
type LineageOptions struct {
	// Sources know what the registry does not: the inputs of a run, the
	// parents of a dataset version, deployments, drift reports. Each is asked
	// once about every node, also about those that it or another one added, as
	// long as the graph has at most MaxNodes nodes.
	Sources []LineageSource
	// MaxNodes bounds the graph. Default 1,000.
	MaxNodes int
}

// LineageSource adds what it knows about a node: other nodes, and the edges
// between them and this one.
type LineageSource func(ctx context.Context, n Node) (nodes []Node, edges []Edge, err error)

// NewNode returns a node with its id.
func NewNode(kind NodeKind, name string, attrs map[string]string) Node {
	return Node{ID: string(kind) + ":" + name, Kind: kind, Name: name, Attrs: attrs}
}

// Lineage returns what a version was made from and where it is used: its run,
// dataset versions and code, its aliases, and what the sources add. ErrInvalid
// when the graph grows beyond its bound.
func (r *Registry) Lineage(ctx context.Context, v *Version, opts *LineageOptions) (*Graph, error) {
	if v == nil {
		return nil, fmt.Errorf("registry: lineage: the version is nil: %w", ErrInvalid)
	}
	var o LineageOptions
	if opts != nil {
		o = *opts
	}
	if o.MaxNodes <= 0 {
		o.MaxNodes = 1000
	}
	b := builder{nodes: map[string]Node{}, edges: map[Edge]bool{}}
	root := b.version(v)
	for len(b.queue) > 0 {
		n := b.queue[0]
		b.queue = b.queue[1:]
		for _, source := range o.Sources {
			nodes, edges, err := source(ctx, n)
			if err != nil {
				return nil, fmt.Errorf("registry: lineage of %q: asking about %q: %w", cut(v.Ref()), cut(n.ID), err)
			}
			for _, n := range nodes {
				b.node(n)
			}
			for _, e := range edges {
				b.edges[e] = true
			}
			if len(b.nodes) > o.MaxNodes {
				return nil, fmt.Errorf("registry: lineage of %q: it has more than %d nodes: %w", cut(v.Ref()), o.MaxNodes, ErrInvalid)
			}
		}
	}
	return b.graph(root)
}

// builder gathers a graph.
type builder struct {
	nodes map[string]Node
	edges map[Edge]bool
	queue []Node // not asked about yet
}

func (b *builder) node(n Node) string {
	have, ok := b.nodes[n.ID]
	if !ok {
		b.nodes[n.ID] = n
		b.queue = append(b.queue, n)
		return n.ID
	}
	if len(n.Attrs) > 0 { // facts from several sources add up
		attrs := maps.Clone(have.Attrs)
		if attrs == nil {
			attrs = map[string]string{}
		}
		maps.Copy(attrs, n.Attrs)
		have.Attrs = attrs
		b.nodes[n.ID] = have
	}
	return n.ID
}

// version adds a version with all that its record says.
func (b *builder) version(v *Version) string {
	attrs := map[string]string{"digest": v.Digest, "created": v.Created.Format("2006-01-02T15:04:05Z")}
	for key, value := range map[string]string{"framework": v.Framework, "flavor": v.Flavor, "source": v.Source, "license": v.License, "logged_model": v.LoggedModel} {
		if value != "" {
			attrs[key] = value
		}
	}
	for key, value := range v.Metrics {
		attrs["metric."+key] = strconv.FormatFloat(value, 'g', 6, 64)
	}
	root := b.node(NewNode(NodeVersion, v.Ref(), attrs))
	maker := root
	if v.Run != "" {
		maker = b.node(NewNode(NodeRun, v.Run, nil))
		b.edges[Edge{From: maker, To: root, Label: "produced"}] = true
	}
	for _, d := range v.Datasets {
		name := d.Name
		if d.Version != "" {
			name += "@" + d.Version
		}
		attrs := map[string]string{}
		if d.Digest != "" {
			attrs["digest"] = d.Digest
		}
		b.edges[Edge{From: b.node(NewNode(NodeDataset, name, attrs)), To: maker, Label: d.Context}] = true
	}
	if v.Code != (Code{}) {
		attrs := map[string]string{"dirty": strconv.FormatBool(v.Code.Dirty)}
		for key, value := range map[string]string{"repository": v.Code.Repository, "image": v.Code.Image, "commit": v.Code.Commit} {
			if value != "" {
				attrs[key] = value
			}
		}
		name := v.Code.Commit
		if name == "" {
			name = v.Code.Repository + v.Code.Image
		}
		b.edges[Edge{From: b.node(NewNode(NodeCode, name, attrs)), To: maker, Label: "code"}] = true
	}
	for _, alias := range v.Aliases {
		b.edges[Edge{From: root, To: b.node(NewNode(NodeAlias, v.Name+"@"+alias, nil)), Label: "named"}] = true
	}
	return root
}

// graph sorts what was gathered.
func (b *builder) graph(root string) (*Graph, error) {
	g := &Graph{Version: root, Nodes: []Node{}, Edges: []Edge{}}
	for _, id := range slices.Sorted(maps.Keys(b.nodes)) {
		g.Nodes = append(g.Nodes, b.nodes[id])
	}
	for e := range b.edges {
		_, from := b.nodes[e.From]
		_, to := b.nodes[e.To]
		if !from || !to {
			return nil, fmt.Errorf("registry: lineage: the edge from %q to %q has no node at one end: %w", cut(e.From), cut(e.To), ErrInvalid)
		}
		g.Edges = append(g.Edges, e)
	}
	slices.SortFunc(g.Edges, compareEdges)
	return g, nil
}
