package webhook

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/registry"
)

// Tags of MLflow's prompts that their events leave out: they are how a prompt
// is kept, not what its author set.
const (
	promptTypeTag = "_mlflow_prompt_type"
	promptTextTag = "mlflow.prompt.text"
)

// Notice is one thing that happened.
type Notice struct {
	Event Event
	// Data is a JSON object with what is told about it.
	Data json.RawMessage
}

// Subject makes the notices about one model. Stores that queue events use it,
// so that all of them tell the same.
type Subject struct {
	Name string
	// Prompt is whether the model has the tag registry.PromptTag with the
	// value "true", at the end of the change.
	Prompt bool
}

// either picks the event of a model or of a prompt.
func (s Subject) either(model, prompt Event) Event {
	if s.Prompt {
		return prompt
	}
	return model
}

// Created tells of a new model: name, tags, description.
func (s Subject) Created(description string, tags map[string]string) Notice {
	return Notice{s.either(ModelCreated, PromptCreated), encode(struct {
		Name        string            `json:"name"`
		Tags        map[string]string `json:"tags"`
		Description string            `json:"description"`
	}{s.Name, s.told(tags), description})}
}

// VersionCreated tells of a new version that is ready: name, version, source,
// run_id (null for none), tags, description (null for none); for a prompt
// template (null for none) in place of source and run_id. Whether it is a
// prompt says the version's own tag.
func (s Subject) VersionCreated(v *registry.Version) Notice {
	s.Prompt = v.Tags[registry.PromptTag] == "true"
	if s.Prompt {
		var template *string
		if text, ok := v.Tags[promptTextTag]; ok {
			template = &text
		}
		tags := s.told(v.Tags)
		delete(tags, promptTextTag)
		return Notice{PromptVersionCreated, encode(struct {
			Name        string            `json:"name"`
			Version     string            `json:"version"`
			Template    *string           `json:"template"`
			Tags        map[string]string `json:"tags"`
			Description *string           `json:"description"`
		}{s.Name, strconv.Itoa(v.Number), template, tags, orNull(v.Description)})}
	}
	return Notice{VersionCreated, encode(struct {
		Name        string            `json:"name"`
		Version     string            `json:"version"`
		Source      string            `json:"source"`
		Run         *string           `json:"run_id"`
		Tags        map[string]string `json:"tags"`
		Description *string           `json:"description"`
	}{s.Name, strconv.Itoa(v.Number), v.Source, orNull(v.Run), s.told(v.Tags), orNull(v.Description)})}
}

// TagSet tells of a prompt's tag: name, key, value. MLflow has no event for
// the tags of other models; then ok is false.
func (s Subject) TagSet(key, value string) (n Notice, ok bool) {
	return Notice{PromptTagSet, encode(tagData{Name: s.Name, Key: key, Value: &value})}, s.Prompt
}

// TagDeleted is TagSet for a tag that was deleted: name, key.
func (s Subject) TagDeleted(key string) (n Notice, ok bool) {
	return Notice{PromptTagDeleted, encode(tagData{Name: s.Name, Key: key})}, s.Prompt
}

// VersionTagSet tells of a version's tag: name, version, key, value.
func (s Subject) VersionTagSet(number int, key, value string) Notice {
	return Notice{s.either(VersionTagSet, PromptVersionTagSet),
		encode(tagData{Name: s.Name, Version: strconv.Itoa(number), Key: key, Value: &value})}
}

// VersionTagDeleted tells of a version's tag: name, version, key.
func (s Subject) VersionTagDeleted(number int, key string) Notice {
	return Notice{s.either(VersionTagDeleted, PromptVersionTagDeleted),
		encode(tagData{Name: s.Name, Version: strconv.Itoa(number), Key: key})}
}

// AliasSet tells where an alias is now: name, alias, version.
func (s Subject) AliasSet(alias string, number int) Notice {
	return Notice{s.either(AliasSet, PromptAliasSet), encode(aliasData{s.Name, alias, strconv.Itoa(number)})}
}

// AliasDeleted tells of an alias that is no more: name, alias.
func (s Subject) AliasDeleted(alias string) Notice {
	return Notice{s.either(AliasDeleted, PromptAliasDeleted), encode(aliasData{Name: s.Name, Alias: alias})}
}

type tagData struct {
	Name    string  `json:"name"`
	Version string  `json:"version,omitempty"`
	Key     string  `json:"key"`
	Value   *string `json:"value,omitempty"`
}

type aliasData struct {
	Name    string `json:"name"`
	Alias   string `json:"alias"`
	Version string `json:"version,omitempty"`
}

// told is a copy of tags without those that mark a prompt.
func (s Subject) told(tags map[string]string) map[string]string {
	out := make(map[string]string, len(tags))
	maps.Copy(out, tags)
	if s.Prompt {
		delete(out, registry.PromptTag)
		delete(out, promptTypeTag)
	}
	return out
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// encode writes JSON as other languages do, without escapes for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // cannot fail for strings
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// timeFormat is what Python's isoformat writes.
const timeFormat = "2006-01-02T15:04:05.000000+00:00"

// Body is the request body that tells of n: entity, action, timestamp and
// data. Stores queue it.
func (n Notice) Body(at time.Time) []byte {
	return encode(struct {
		Entity    string          `json:"entity"`
		Action    string          `json:"action"`
		Timestamp string          `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}{n.Event.Entity(), n.Event.Action(), at.UTC().Format(timeFormat), n.Data})
}

// example is what Test sends.
func example(e Event) Notice {
	s := Subject{Name: "example-model"}
	tags := map[string]string{"example-key": "example value"}
	v := registry.Version{Number: 1, Source: "models:/m-example", Run: "0123456789abcdef0123456789abcdef", Tags: maps.Clone(tags), Description: "An example."}
	if e.Entity() == "prompt" || e.Entity() == "prompt_version" {
		v.Tags[registry.PromptTag], v.Tags[promptTextTag] = "true", "Say {{ word }}."
	}
	s.Prompt = e.Entity() != "" && e != ModelCreated && e != VersionCreated && e.Entity()[0] == 'p'
	var n Notice
	switch e {
	case ModelCreated, PromptCreated:
		n = s.Created("An example.", tags)
	case VersionCreated, PromptVersionCreated:
		n = s.VersionCreated(&v)
	case PromptTagSet:
		n, _ = s.TagSet("example-key", "example value")
	case PromptTagDeleted:
		n, _ = s.TagDeleted("example-key")
	case VersionTagSet, PromptVersionTagSet:
		n = s.VersionTagSet(1, "example-key", "example value")
	case VersionTagDeleted, PromptVersionTagDeleted:
		n = s.VersionTagDeleted(1, "example-key")
	case AliasSet, PromptAliasSet:
		n = s.AliasSet("example-alias", 1)
	default:
		n = s.AliasDeleted("example-alias")
	}
	return n
}

// uuid writes a random or derived value in the usual form.
func uuid(b [16]byte) string {
	const hex = "0123456789abcdef"
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // version 8: custom
	out := make([]byte, 0, 36)
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, hex[c>>4], hex[c&15])
	}
	return string(out)
}

// deliveryID is the same whenever an event is sent to a webhook.
func deliveryID(event, webhook string) string {
	sum := sha256.Sum256([]byte(event + "\x00" + webhook))
	return uuid([16]byte(sum[:16]))
}

// NewEventID returns a Delivery.EventID, for stores that queue a notice.
func NewEventID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return uuid(b)
}
