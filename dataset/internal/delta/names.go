package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// LastCheckpoint is the name of the pointer to the newest checkpoint.
const LastCheckpoint = "_last_checkpoint"

// maxVersion bounds the version numbers that names of files may claim.
const maxVersion = 1 << 53

var logFile = regexp.MustCompile(`^([0-9]{20})\.(json|checkpoint\.parquet|checkpoint\.([0-9]{10})\.([0-9]{10})\.parquet)$`)

// LogName is the file name of a version's commit.
func LogName(version int64) string { return fmt.Sprintf("%020d.json", version) }

// CheckpointName is the file name of a version's checkpoint in one part.
func CheckpointName(version int64) string { return fmt.Sprintf("%020d.checkpoint.parquet", version) }

// CheckpointPart is the file name of one part, counted from 1, of a checkpoint
// that another engine wrote in several.
func CheckpointPart(version int64, part, parts int) string {
	return fmt.Sprintf("%020d.checkpoint.%010d.%010d.parquet", version, part, parts)
}

// ParseLogName is the inverse of LogName; ok is false for other files of the
// log folder, such as checkpoints.
func ParseLogName(name string) (version int64, ok bool) {
	m := logFile.FindStringSubmatch(name)
	if m == nil || m[2] != "json" {
		return 0, false
	}
	return parseVersion(m[1])
}

// ParseCheckpointName is the inverse of CheckpointName and CheckpointPart.
// Parts is 1 for a checkpoint in one file.
func ParseCheckpointName(name string) (version int64, part, parts int, ok bool) {
	m := logFile.FindStringSubmatch(name)
	if m == nil || m[2] == "json" {
		return 0, 0, 0, false
	}
	part, parts = 1, 1
	if m[3] != "" {
		part, _ = strconv.Atoi(m[3])
		parts, _ = strconv.Atoi(m[4])
		if part < 1 || part > parts || parts > maxParts {
			return 0, 0, 0, false
		}
	}
	version, ok = parseVersion(m[1])
	return version, part, parts, ok
}

func parseVersion(digits string) (int64, bool) {
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n <= maxVersion
}

// maxParts bounds the parts of a checkpoint.
const maxParts = 10_000

// Pointer is the content of _last_checkpoint: a hint, which may be old.
type Pointer struct {
	Version int64 `json:"version"`
	Size    int64 `json:"size"`            // Actions in the checkpoint.
	Parts   int   `json:"parts,omitempty"` // 0 for one part.
	Bytes   int64 `json:"sizeInBytes,omitempty"`
	Adds    int64 `json:"numOfAddFiles,omitempty"`
}

// ParsePointer reads _last_checkpoint.
func ParsePointer(data []byte) (Pointer, error) {
	var p Pointer
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("not a checkpoint pointer: %w", err)
	}
	if p.Version < 0 || p.Version > maxVersion || p.Parts < 0 || p.Parts > maxParts {
		return p, errors.New("not a checkpoint pointer: the version or the parts are out of range")
	}
	return p, nil
}
