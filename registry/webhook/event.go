package webhook

import (
	"slices"
	"strings"
)

// Event is a kind of change, as MLflow calls it: an entity, a dot and what
// happened to it.
type Event string

// The events. Models that are prompts of MLflow's have events of their own.
// What an event's data holds is documented at the methods of [Subject].
const (
	ModelCreated      Event = "registered_model.created"
	VersionCreated    Event = "model_version.created" // and ready
	VersionTagSet     Event = "model_version_tag.set"
	VersionTagDeleted Event = "model_version_tag.deleted"
	AliasSet          Event = "model_version_alias.created" // or moved
	AliasDeleted      Event = "model_version_alias.deleted"

	PromptCreated           Event = "prompt.created"
	PromptVersionCreated    Event = "prompt_version.created"
	PromptTagSet            Event = "prompt_tag.set"
	PromptTagDeleted        Event = "prompt_tag.deleted"
	PromptVersionTagSet     Event = "prompt_version_tag.set"
	PromptVersionTagDeleted Event = "prompt_version_tag.deleted"
	PromptAliasSet          Event = "prompt_alias.created"
	PromptAliasDeleted      Event = "prompt_alias.deleted"
)

// Events lists all of them.
func Events() []Event {
	return []Event{
		ModelCreated, VersionCreated, VersionTagSet, VersionTagDeleted, AliasSet, AliasDeleted,
		PromptCreated, PromptVersionCreated, PromptTagSet, PromptTagDeleted,
		PromptVersionTagSet, PromptVersionTagDeleted, PromptAliasSet, PromptAliasDeleted,
	}
}

// Known reports whether e is one of Events.
func (e Event) Known() bool { return slices.Contains(Events(), e) }

// Entity is what e is about, such as "model_version".
func (e Event) Entity() string {
	entity, _, _ := strings.Cut(string(e), ".")
	return entity
}

// Action is what happened to it, such as "created".
func (e Event) Action() string {
	_, action, _ := strings.Cut(string(e), ".")
	return action
}
