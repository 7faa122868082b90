package registry

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
)

func compareEdges(a, b Edge) int {
	return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To), strings.Compare(a.Label, b.Label))
}

// Mermaid returns the graph as a Mermaid flowchart, left to right, which Git
// forges and notebooks draw.
func (g *Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	index := map[string]int{}
	for i, n := range g.Nodes {
		index[n.ID] = i
		text := mermaidText(string(n.Kind)) + "<br/>" + mermaidText(n.Name)
		fmt.Fprintf(&b, "  n%d[\"%s\"]\n", i, text)
	}
	for _, e := range g.Edges {
		label := ""
		if e.Label != "" {
			label = "|\"" + mermaidText(e.Label) + "\"|"
		}
		fmt.Fprintf(&b, "  n%d -->%s n%d\n", index[e.From], label, index[e.To])
	}
	if i, ok := index[g.Version]; ok {
		fmt.Fprintf(&b, "  style n%d stroke-width:3px\n", i)
	}
	return b.String()
}

// mermaidText keeps outside text from being read as Mermaid: everything but
// letters, digits and a few marks becomes a character reference.
func mermaidText(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune(" ._-@/", c):
			b.WriteRune(c)
		default:
			fmt.Fprintf(&b, "#%d;", c)
		}
	}
	return b.String()
}

// Sizes of the drawing, in pixels.
const (
	boxWidth, boxHeight = 220, 44
	gapX, gapY          = 70, 18
	shownName           = 30 // characters
)

// SVG returns the graph as a drawing of its own, without scripts, fonts or
// references: columns from the origin at the left to the use at the right.
func (g *Graph) SVG() []byte {
	column := g.columns()
	place := map[string][2]int{}
	height := map[int]int{} // of the columns, in boxes
	widest, tallest := 0, 0
	for _, n := range g.Nodes {
		c := column[n.ID]
		place[n.ID] = [2]int{gapX/2 + c*(boxWidth+gapX), gapY + height[c]*(boxHeight+gapY)}
		height[c]++
		widest, tallest = max(widest, c+1), max(tallest, height[c])
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		widest*(boxWidth+gapX), gapY+tallest*(boxHeight+gapY))
	fmt.Fprintf(&b, "<title>Lineage of %s</title>\n", html.EscapeString(strings.TrimPrefix(g.Version, string(NodeVersion)+":")))
	for _, e := range g.Edges {
		from, to := place[e.From], place[e.To]
		x1, y1, x2, y2 := from[0]+boxWidth, from[1]+boxHeight/2, to[0], to[1]+boxHeight/2
		fmt.Fprintf(&b, `<path d="M%d %d C%d %d %d %d %d %d" fill="none" stroke="#888"/>`+"\n", x1, y1, x1+gapX/2, y1, x2-gapX/2, y2, x2, y2)
		fmt.Fprintf(&b, `<path d="M%d %d l-7 -4 v8 z" fill="#888"/>`+"\n", x2, y2)
		if e.Label != "" {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" font-size="10" fill="#555">%s</text>`+"\n", (x1+x2)/2, (y1+y2)/2-4, html.EscapeString(e.Label))
		}
	}
	for _, n := range g.Nodes {
		at := place[n.ID]
		stroke := 1
		if n.ID == g.Version {
			stroke = 3
		}
		fmt.Fprintf(&b, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="#f5f7fa" stroke="#345" stroke-width="%d"/>`,
			html.EscapeString(nodeTitle(n)), at[0], at[1], boxWidth, boxHeight, stroke)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#678" font-size="10">%s</text><text x="%d" y="%d">%s</text></g>`+"\n",
			at[0]+8, at[1]+15, html.EscapeString(strings.ReplaceAll(string(n.Kind), "_", " ")), at[0]+8, at[1]+33, html.EscapeString(shortName(n.Name)))
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// columns is the longest way to each node from an origin; a circle, which no
// lineage should have, is cut after as many rounds as there are nodes.
func (g *Graph) columns() map[string]int {
	column := map[string]int{}
	for range g.Nodes {
		moved := false
		for _, e := range g.Edges {
			if c := column[e.From] + 1; c > column[e.To] && c < len(g.Nodes) {
				column[e.To], moved = c, true
			}
		}
		if !moved {
			break
		}
	}
	return column
}

func nodeTitle(n Node) string {
	lines := []string{n.Name}
	for key, value := range n.Attrs {
		lines = append(lines, key+": "+value)
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

func shortName(s string) string {
	r := []rune(s)
	if len(r) <= shownName {
		return s
	}
	return string(r[:shownName-9]) + "…" + string(r[len(r)-8:])
}

// OpenLineageOptions of OpenLineage.
type OpenLineageOptions struct {
	// Namespace of jobs and datasets that have none of their own, such as
	// "millwright".
	Namespace string
	// Producer is a URI that identifies the program.
	Producer string
	// Time of the event.
	Time time.Time
}

// OpenLineageEvent is a RunEvent of the OpenLineage specification, version 2-0-2.
type OpenLineageEvent struct {
	EventType string             `json:"eventType"`
	EventTime string             `json:"eventTime"`
	Producer  string             `json:"producer"`
	SchemaURL string             `json:"schemaURL"`
	Run       OpenLineageRun     `json:"run"`
	Job       OpenLineageName    `json:"job"`
	Inputs    []OpenLineageThing `json:"inputs"`
	Outputs   []OpenLineageThing `json:"outputs"`
}

// OpenLineageRun identifies a run by a UUID.
type OpenLineageRun struct {
	RunID string `json:"runId"`
}

// OpenLineageName is a name in a namespace.
type OpenLineageName struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// OpenLineageThing is an input or output: a dataset in OpenLineage's words,
// which a model version is too.
type OpenLineageThing struct {
	OpenLineageName
	Facets map[string]any `json:"facets,omitempty"`
}

// OpenLineage returns one COMPLETE event for each run of the graph, with its
// dataset versions as inputs and the model versions that it produced as outputs,
// each with its digest in the facet "version".
func (g *Graph) OpenLineage(o OpenLineageOptions) []OpenLineageEvent {
	nodes := map[string]Node{}
	for _, n := range g.Nodes {
		nodes[n.ID] = n
	}
	thing := func(n Node) OpenLineageThing {
		t := OpenLineageThing{OpenLineageName: OpenLineageName{Namespace: o.Namespace, Name: n.Name}}
		if digest := n.Attrs["digest"]; digest != "" {
			t.Facets = map[string]any{"version": map[string]string{
				"_producer": o.Producer, "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json", "datasetVersion": digest,
			}}
		}
		return t
	}
	var events []OpenLineageEvent
	for _, run := range g.Nodes {
		if run.Kind != NodeRun {
			continue
		}
		e := OpenLineageEvent{
			EventType: "COMPLETE", EventTime: o.Time.UTC().Format(time.RFC3339Nano), Producer: o.Producer,
			SchemaURL: "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
			Run:       OpenLineageRun{RunID: runUUID(run.Name)},
			Job:       OpenLineageName{Namespace: o.Namespace, Name: "run " + run.Name},
			Inputs:    []OpenLineageThing{}, Outputs: []OpenLineageThing{},
		}
		for _, edge := range g.Edges {
			from, to := nodes[edge.From], nodes[edge.To]
			switch {
			case edge.To == run.ID && from.Kind == NodeDataset:
				e.Inputs = append(e.Inputs, thing(from))
			case edge.From == run.ID && to.Kind == NodeVersion:
				e.Outputs = append(e.Outputs, thing(to))
				e.Job.Name = "train " + to.Name[:max(0, strings.LastIndexByte(to.Name, '/'))]
			}
		}
		events = append(events, e)
	}
	return events
}

// runUUID is the run's id where it is 128 bits in hex, as tracking makes them,
// else the UUID version 5 (RFC 9562, section 5.5) of its text in the namespace
// for URLs.
func runUUID(id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 {
		space, _ := hex.DecodeString("6ba7b8119dad11d180b400c04fd430c8")
		sum := sha1.Sum(append(space, "millwright:run:"+id...)) //nolint:gosec // RFC 9562 says SHA-1; nothing relies on it.
		raw = sum[:16]
		raw[6] = raw[6]&0x0f | 0x50
		raw[8] = raw[8]&0x3f | 0x80
	}
	s := hex.EncodeToString(raw)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
