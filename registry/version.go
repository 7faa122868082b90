package registry

import (
	"encoding/json"
	"io/fs"
	"strconv"
	"time"
)

// ProfilePath is the path of the reference profile among a version's files.
const ProfilePath = "profile.json"

// Draft is what Register makes a version of. Only the files are required.
// Text fields are valid UTF-8 without NUL.
type Draft struct {
	// Files holds the model's files, read recursively: regular files only,
	// symbolic links are refused, empty folders are not kept. Paths follow
	// fs.ValidPath, without backslashes or control characters, at most 1024
	// bytes.
	Files fs.FS
	// Profile is the reference profile of the training data as JSON, stored as
	// the file "profile.json"; empty when there is none or when Files carries
	// that file itself.
	Profile []byte
	// Signature describes the inputs and outputs as JSON (for a served model
	// the Open Inference Protocol's metadata), at most 1 MiB; kept compacted.
	Signature json.RawMessage
	// Framework made the model ("xgboost 2.1"), Flavor says which runtime
	// loads it ("xgboost-json"); at most 255 bytes each.
	Framework, Flavor string
	// Run is the id of the tracking run that trained it, at most 255 bytes.
	Run string
	// Datasets are the dataset versions it was trained and judged on.
	Datasets []Dataset
	// Metrics are finite numbers: NaN and infinities are refused, since a
	// later comparison with them would decide nothing.
	Metrics map[string]float64
	// Tags are free; keys up to 250 bytes, values up to 100 000, 1 MiB together.
	Tags map[string]string
	// Key makes Register repeatable: a second Register of the model with the
	// same Key and the same content returns the version that the first one
	// made, other content is an ErrConflict. At most 255 bytes; empty for a
	// new version on each call.
	Key string
}

// Dataset names a dataset version that went into a model. Each field holds at
// most 1000 bytes.
type Dataset struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
	// Context says what it was used for: "training", "evaluation".
	Context string `json:"context,omitempty"`
}

// File is one file of a version.
type File struct {
	// Path is slash-separated and unique in the version.
	Path string `json:"path"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is the digest of the bytes in lower-case hex.
	SHA256 string `json:"sha256"`
}

// Version is one registered model version. All but Aliases was fixed when it
// was registered. The value belongs to whoever received it.
type Version struct {
	// Name is the model's name, Number counts from 1 within the model.
	Name   string `json:"name"`
	Number int    `json:"number"`
	// Created is when it was registered, UTC, to the microsecond.
	Created time.Time `json:"created"`
	// Digest identifies the files: "sha256:" and the SHA-256 of the encoded
	// manifest, see [EncodeManifest].
	Digest string `json:"digest"`
	// Files are sorted by path.
	Files []File `json:"files"`

	// The fields below are those of the Draft; an empty one is nil.
	Signature json.RawMessage    `json:"signature,omitempty"`
	Framework string             `json:"framework,omitempty"`
	Flavor    string             `json:"flavor,omitempty"`
	Run       string             `json:"run,omitempty"`
	Datasets  []Dataset          `json:"datasets,omitempty"`
	Metrics   map[string]float64 `json:"metrics,omitempty"`
	Tags      map[string]string  `json:"tags,omitempty"`
	Key       string             `json:"key,omitempty"`

	// Aliases are those that were at this version when it was read, sorted.
	Aliases []string `json:"aliases,omitempty"`
}

// Ref is the version's reference, "name/number".
func (v *Version) Ref() string { return v.Name + "/" + strconv.Itoa(v.Number) }

// Model is a registered model: the name that versions are numbered under.
type Model struct {
	// Name is unique in the registry.
	Name string `json:"name"`
	// Created is when its first version was registered, UTC.
	Created time.Time `json:"created"`
	// Latest is the highest version number given out.
	Latest int `json:"latest"`
}

// Alias is a movable name for one version of a model.
type Alias struct {
	// Alias is its name, Number the version it is at.
	Alias  string `json:"alias"`
	Number int    `json:"number"`
	// Moved is when it was set there, UTC, to the microsecond.
	Moved time.Time `json:"moved"`
}

// Move is one entry of the append-only history of aliases.
type Move struct {
	// Seq grows with every move in the store; it orders the history.
	Seq int64 `json:"seq"`
	// Name is the model, Alias its alias.
	Name  string `json:"name"`
	Alias string `json:"alias"`
	// Time is when it was moved, UTC, to the microsecond.
	Time time.Time `json:"time"`
	// From and To are versions; 0 stands for none: From 0 created the alias,
	// To 0 deleted it.
	From int `json:"from"`
	To   int `json:"to"`
	// By, Reason and Evidence are what the mover stated.
	By       string          `json:"by,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Evidence json.RawMessage `json:"evidence,omitempty"`
}
