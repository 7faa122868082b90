package iceberg

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// mainBranch is the name that readers look for.
const mainBranch = "main"

// tableMetadata is the metadata file, format version 2.
type tableMetadata struct {
	FormatVersion      int               `json:"format-version"`
	TableUUID          string            `json:"table-uuid"`
	Location           string            `json:"location"`
	LastSequenceNumber int               `json:"last-sequence-number"`
	LastUpdatedMS      int64             `json:"last-updated-ms"`
	LastColumnID       int               `json:"last-column-id"`
	CurrentSchemaID    int               `json:"current-schema-id"`
	Schemas            []structType      `json:"schemas"`
	DefaultSpecID      int               `json:"default-spec-id"`
	PartitionSpecs     []partitionSpec   `json:"partition-specs"`
	LastPartitionID    int               `json:"last-partition-id"`
	DefaultSortOrderID int               `json:"default-sort-order-id"`
	SortOrders         []sortOrder       `json:"sort-orders"`
	Properties         map[string]string `json:"properties"`
	CurrentSnapshotID  int64             `json:"current-snapshot-id"`
	Refs               map[string]ref    `json:"refs"`
	Snapshots          []snapshot        `json:"snapshots"`
	SnapshotLog        []logged          `json:"snapshot-log"`
	MetadataLog        []logged          `json:"metadata-log"`
}

type partitionSpec struct {
	ID     int     `json:"spec-id"`
	Fields []field `json:"fields"` // Always empty.
}

type sortOrder struct {
	ID     int     `json:"order-id"`
	Fields []field `json:"fields"` // Always empty.
}

type ref struct {
	SnapshotID int64  `json:"snapshot-id"`
	Type       string `json:"type"`
}

type snapshot struct {
	ID             int64             `json:"snapshot-id"`
	SequenceNumber int               `json:"sequence-number"`
	TimestampMS    int64             `json:"timestamp-ms"`
	Summary        map[string]string `json:"summary"`
	ManifestList   string            `json:"manifest-list"`
	SchemaID       int               `json:"schema-id"`
}

type logged struct {
	TimestampMS int64 `json:"timestamp-ms"`
	SnapshotID  int64 `json:"snapshot-id"`
}

// table says which of the dataset's two logs the version is of. With the number
// it lets a garbage collection keep what the export names.
func (e *export) table() string {
	if path, _ := e.version.Table(); path != e.version.Dataset {
		return "refs"
	}
	return "main"
}

// metadata is the content of the metadata file.
func (e *export) metadata(t *table, manifestList string) ([]byte, error) {
	mapping, err := encode(t.mapping)
	if err != nil {
		return nil, err
	}
	v := e.version
	at := v.Time.UnixMilli()
	size := int64(0)
	for _, f := range v.Files {
		size += f.Size
	}
	sum := sha256.Sum256([]byte("table " + v.Digest + " " + e.location))
	id := hex.EncodeToString(sum[:16])
	refs := map[string]ref{mainBranch: {e.snapshot, "branch"}}
	if e.name != mainBranch {
		refs[e.name] = ref{e.snapshot, "tag"}
	}
	files, rows := strconv.Itoa(len(v.Files)), strconv.FormatInt(v.Rows, 10)
	return encode(tableMetadata{
		FormatVersion: 2, TableUUID: id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:],
		Location: e.location, LastSequenceNumber: sequence, LastUpdatedMS: at,
		LastColumnID: t.last, Schemas: []structType{t.schema},
		PartitionSpecs: []partitionSpec{{Fields: []field{}}}, LastPartitionID: 999, SortOrders: []sortOrder{{Fields: []field{}}},
		Properties: map[string]string{
			"schema.name-mapping.default": string(mapping),
			"millwright.dataset":          v.Dataset,
			"millwright.table":            e.table(),
			"millwright.version":          strconv.FormatInt(v.Number, 10),
			"millwright.digest":           v.Digest,
		},
		CurrentSnapshotID: e.snapshot, Refs: refs,
		Snapshots: []snapshot{{
			ID: e.snapshot, SequenceNumber: sequence, TimestampMS: at, ManifestList: manifestList,
			Summary: map[string]string{
				"operation": "append", "added-data-files": files, "added-records": rows, "added-files-size": strconv.FormatInt(size, 10),
				"total-data-files": files, "total-records": rows, "total-files-size": strconv.FormatInt(size, 10),
				"total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0",
			},
		}},
		SnapshotLog: []logged{{at, e.snapshot}}, MetadataLog: []logged{},
	})
}
