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
	// Code is what trained it.
	Code Code
	// License of the model, an SPDX expression or free text of at most 255
	// bytes.
	License string
	// Golden is the path, among the files, of golden inputs with their
	// outputs, which the gate GoldenReproduced replays; see [ReadGolden].
	Golden string
	// Source is the URI that the files were read from, at most 2,048 bytes,
	// LoggedModel the id of the tracking server's logged model, User who
	// registered it, at most 255 bytes each.
	Source, LoggedModel, User string
	// Description is free text, at most 5,000 bytes.
	Description string
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

// Code is the program that trained a version. Each field holds at most 255
// bytes.
type Code struct {
	// Commit is the revision in its repository; Dirty tells of changes beside
	// it.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	// Repository is where it lives, Image the container image's digest.
	Repository string `json:"repository,omitempty"`
	Image      string `json:"image,omitempty"`
}

// Status is how far a version's registration came.
type Status string

// The states of a version. Register makes Ready ones; a server that copies
// files after it answered makes Pending ones first.
const (
	Ready   Status = "READY"
	Pending Status = "PENDING_REGISTRATION"
	Failed  Status = "FAILED_REGISTRATION"
)

// The stages of MLflow's older clients; new programs use aliases.
const (
	StageNone       = "None"
	StageStaging    = "Staging"
	StageProduction = "Production"
	StageArchived   = "Archived"
)

// Version is one registered model version. The value belongs to whoever
// received it.
type Version struct {
	// Name is the model's name, Number counts from 1 within the model.
	Name   string `json:"name"`
	Number int    `json:"number"`
	// Created is when it was registered, UTC, to the microsecond.
	Created time.Time `json:"created"`
	// Digest identifies the files: "sha256:" and the SHA-256 of the encoded
	// manifest, see [EncodeManifest].
	Digest string `json:"digest"`
	// Files are sorted by path. A version that an MLflow client made from a
	// place that this process cannot read has none.
	Files []File `json:"files"`

	// The fields below are those of the Draft; an empty one is nil. They never
	// change.
	Signature   json.RawMessage    `json:"signature,omitempty"`
	Framework   string             `json:"framework,omitempty"`
	Flavor      string             `json:"flavor,omitempty"`
	Run         string             `json:"run,omitempty"`
	Datasets    []Dataset          `json:"datasets,omitempty"`
	Metrics     map[string]float64 `json:"metrics,omitempty"`
	Code        Code               `json:"code,omitzero"`
	License     string             `json:"license,omitempty"`
	Golden      string             `json:"golden,omitempty"`
	Source      string             `json:"source,omitempty"`
	LoggedModel string             `json:"logged_model,omitempty"`
	User        string             `json:"user,omitempty"`
	Key         string             `json:"key,omitempty"`

	// What may change, by UpdateVersion. Files and Digest may be set once,
	// with the Status that a Pending version ends in.
	Description   string            `json:"description,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	Status        Status            `json:"status"`
	StatusMessage string            `json:"status_message,omitempty"`
	Stage         string            `json:"stage,omitempty"` // empty is StageNone
	Signed        []Envelope        `json:"signed,omitempty"`
	Updated       time.Time         `json:"updated"`
	Deleted       bool              `json:"deleted,omitempty"`
	DeletedAt     time.Time         `json:"deleted_at,omitzero"`

	// Aliases are those that were at this version when it was read, sorted.
	Aliases []string `json:"aliases,omitempty"`
}

// VersionUpdate changes a version. A zero field leaves its value as it is.
type VersionUpdate struct {
	Description *string
	SetTags     map[string]string
	DeleteTags  []string // ErrNotFound when the version has no such tag
	// Status, with StatusMessage and for Ready the Files and Digest, ends a
	// Pending registration; ErrConflict when it is not Pending.
	Status        Status
	StatusMessage string
	Files         []File
	Digest        string
	// Lease is that of the upload of Files; it is ended as by CreateVersion.
	Lease string
	// Stage moves the version; ArchiveOthers moves those of the model's active
	// versions that are in that stage to StageArchived.
	Stage         string
	ArchiveOthers bool
	// Sign adds a signature of the manifest.
	Sign *Envelope
	// Deleted deletes or restores; either again does nothing.
	Deleted *bool
	// By and Reason go into the audit log, Time is when.
	By, Reason string
	Time       time.Time
}

// VersionQuery selects versions.
type VersionQuery struct {
	Name    string // exact; empty selects the versions of all models
	View    View
	Filter  string
	OrderBy []string // default: the latest updated first, then by name, then the highest number first
	Page    Page
	// Brief asks for what MLflow's lists show, which takes a fraction of the
	// time: Name, Number, Created, Run, Source and User, and what may change but
	// Signed. The rest may be left out.
	Brief bool
}

// Ref is the version's reference, "name/number".
func (v *Version) Ref() string { return v.Name + "/" + strconv.Itoa(v.Number) }
