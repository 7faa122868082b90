package registry

import "encoding/json"

// renamed is the Evidence of an entry of KindRename.
type renamed struct {
	From string `json:"renamed_from"`
}

// RenamedFrom is the Evidence that a store gives the entry of a rename.
func RenamedFrom(old string) json.RawMessage {
	b, _ := json.Marshal(renamed{From: old}) // cannot fail for a text
	return b
}

// identities tells apart the models that had one name after each other: a name
// is free again when its model was purged or renamed, and what was approved or
// promoted under it then says nothing about the next one. It is fed with
// entries in the order of the log.
type identities struct {
	live map[string]int // by their present names, counted from 1
	last int
}

// of returns which model e is about.
func (t *identities) of(e Entry) int {
	if t.live == nil {
		t.live = map[string]int{}
	}
	was := e.Name
	if e.Kind == KindRename {
		var r renamed
		if json.Unmarshal(e.Evidence, &r) == nil {
			was = r.From
		}
	}
	id, ok := t.live[was]
	if !ok { // the first that the log tells of it
		t.last++
		id = t.last
	}
	delete(t.live, was)
	if e.Kind != KindPurge || e.To != 0 {
		t.live[e.Name] = id
	}
	return id
}
