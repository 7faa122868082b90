package search

import (
	"maps"
	"slices"
	"strings"
)

// Limits of one filter and one order. What is beyond them is ErrInvalid.
const (
	MaxFilterBytes  = 64 << 10
	MaxClauses      = 100
	MaxPatternBytes = 10_000 // of LIKE, ILIKE and RLIKE
	MaxOrderKeys    = 16
	maxOrderBytes   = 4 << 10
)

// ops is a set of comparisons in the order in which errors list them.
type ops []Op

var (
	numberOps = ops{Equal, NotEqual, Greater, GreaterEqual, Less, LessEqual}
	textOps   = ops{Equal, NotEqual, Like, ILike}
	listOps   = ops{Equal, NotEqual, Like, ILike, In, NotIn}
	nullOps   = ops{Equal, NotEqual, Like, ILike, IsNull, IsNotNull}

	traceTextOps  = ops{Equal, NotEqual, Like, ILike, RLike, In, NotIn}
	traceTagOps   = ops{Equal, NotEqual, Like, ILike, RLike, IsNull, IsNotNull}
	assessmentOps = ops{Equal, NotEqual, Greater, GreaterEqual, Less, LessEqual, Like, ILike, RLike, IsNull, IsNotNull}
	contentOps    = ops{Like, ILike}
	identityOps   = ops{Equal, NotEqual, In, NotIn}
)

func (o ops) String() string {
	names := make([]string, len(o))
	for i, op := range o {
		names[i] = string(op)
	}
	return strings.Join(names, ", ")
}

// field is what a key of an entity may do.
type field struct {
	entity  Entity // what the key becomes, "" is the entity it was found under
	key     string // canonical name, "" is the key as written
	ops     ops    // none: not to be filtered by
	numeric bool   // takes numbers
	quoted  bool   // numeric, but takes a number in quotes too
	mixed   bool   // a number after < <= > >=, a text after the others
	ordered bool   // may stand in an order
}

// space is the keys of one entity: a closed set of names, or any key.
type space struct {
	names map[string]field // by name and alias; nil: any key is like other
	other field
}

// Grammar is the filters and orders of one kind of entry. The functions of
// this package make one; it is immutable.
type Grammar struct {
	what     string
	entities map[string]Entity // by every spelling
	spaces   map[Entity]space
	// renamed are keys that name something else: tags.`mlflow.runName` is the
	// attribute run_name.
	renamed map[Order]Order
}

// lookup finds what key of entity is. expected is filled when it is nothing.
func (g *Grammar) lookup(entity Entity, key string, forOrder bool) (e Entity, canonical string, f field, ok bool, expected string) {
	if to, found := g.renamed[Order{Entity: entity, Key: key}]; found {
		entity, key = to.Entity, to.Key
	}
	usable := func(f field) bool {
		if forOrder {
			return f.ordered
		}
		return len(f.ops) > 0
	}
	s := g.spaces[entity]
	f = s.other
	if s.names != nil {
		f = s.names[key]
	}
	if !usable(f) {
		var names []string
		for name, f := range s.names {
			if usable(f) && (f.key == "" || f.entity != "") { // no aliases
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return entity, key, f, false, strings.Join(names, ", ")
	}
	if f.entity != "" {
		entity = f.entity
	}
	if f.key != "" {
		key = f.key
	}
	return entity, key, f, true, ""
}

// entityNames lists the main spelling of each entity.
func (g *Grammar) entityNames() string {
	seen := map[string]bool{}
	for _, e := range g.entities {
		seen[string(e)] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

func spellings(groups map[Entity][]string) map[string]Entity {
	all := map[string]Entity{}
	for entity, names := range groups {
		for _, name := range names {
			all[name] = entity
		}
	}
	return all
}

var (
	attributeNames = []string{"attribute", "attributes", "attr"}
	metricNames    = []string{"metric", "metrics"}
	paramNames     = []string{"parameter", "parameters", "param", "params"}
	tagNames       = []string{"tag", "tags"}
)
