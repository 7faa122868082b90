package iceberg

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// The Avro schemas of the specification's tables "Manifests" and "Manifest
// Lists", format version 2, less the optional fields that are never set. Readers
// go by the field ids.
const (
	entrySchema = `{"type":"record","name":"manifest_entry","fields":[` +
		`{"name":"status","type":"int","field-id":0},` +
		`{"name":"snapshot_id","type":["null","long"],"default":null,"field-id":1},` +
		`{"name":"sequence_number","type":["null","long"],"default":null,"field-id":3},` +
		`{"name":"file_sequence_number","type":["null","long"],"default":null,"field-id":4},` +
		`{"name":"data_file","field-id":2,"type":{"type":"record","name":"r2","fields":[` +
		`{"name":"content","type":"int","field-id":134},` +
		`{"name":"file_path","type":"string","field-id":100},` +
		`{"name":"file_format","type":"string","field-id":101},` +
		`{"name":"partition","field-id":102,"type":{"type":"record","name":"r102","fields":[]}},` +
		`{"name":"record_count","type":"long","field-id":103},` +
		`{"name":"file_size_in_bytes","type":"long","field-id":104},` +
		statsOpen + `"value_counts","field-id":109` + statsItems + `"k119_v120","fields":[{"name":"key","type":"int","field-id":119},{"name":"value","type":"long","field-id":120}` + statsClose + `,` +
		statsOpen + `"null_value_counts","field-id":110` + statsItems + `"k121_v122","fields":[{"name":"key","type":"int","field-id":121},{"name":"value","type":"long","field-id":122}` + statsClose + `,` +
		statsOpen + `"lower_bounds","field-id":125` + statsItems + `"k126_v127","fields":[{"name":"key","type":"int","field-id":126},{"name":"value","type":"bytes","field-id":127}` + statsClose + `,` +
		statsOpen + `"upper_bounds","field-id":128` + statsItems + `"k129_v130","fields":[{"name":"key","type":"int","field-id":129},{"name":"value","type":"bytes","field-id":130}` + statsClose +
		`]}}]}`

	// Maps by field id, as the specification writes them.
	statsOpen  = `{"name":`
	statsItems = `,"default":null,"type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":`
	statsClose = `]}}]}`

	listSchema = `{"type":"record","name":"manifest_file","fields":[` +
		`{"name":"manifest_path","type":"string","field-id":500},` +
		`{"name":"manifest_length","type":"long","field-id":501},` +
		`{"name":"partition_spec_id","type":"int","field-id":502},` +
		`{"name":"content","type":"int","field-id":517},` +
		`{"name":"sequence_number","type":"long","field-id":515},` +
		`{"name":"min_sequence_number","type":"long","field-id":516},` +
		`{"name":"added_snapshot_id","type":"long","field-id":503},` +
		`{"name":"added_files_count","type":"int","field-id":504},` +
		`{"name":"existing_files_count","type":"int","field-id":505},` +
		`{"name":"deleted_files_count","type":"int","field-id":506},` +
		`{"name":"added_rows_count","type":"long","field-id":512},` +
		`{"name":"existing_rows_count","type":"long","field-id":513},` +
		`{"name":"deleted_rows_count","type":"long","field-id":514}]}`
)

const (
	sequence   = 1 // The sequence number of the one snapshot.
	statusAdd  = 1
	dataFiles  = 0 // The content "data" of files and of manifests.
	fileFormat = "PARQUET"
)

// manifest is a manifest file that is stored.
type manifest struct {
	location string
	size     int64
}

// snapshotID is a positive number that follows from the content.
func snapshotID(digest string) int64 {
	sum := sha256.Sum256([]byte("snapshot " + digest))
	return int64(binary.BigEndian.Uint64(sum[:])>>1) | 1
}

// manifest lists the data files.
func (e *export) manifest(t *table) ([]byte, error) {
	schema, err := encode(t.schema)
	if err != nil {
		return nil, err
	}
	header := map[string]string{
		"schema": string(schema), "schema-id": "0", "partition-spec": "[]", "partition-spec-id": "0",
		"format-version": "2", "content": "data",
	}
	files := e.version.Files
	return avroFile(entrySchema, header, len(files), func(w *avroValue, i int) {
		w.long(statusAdd)
		w.some()
		w.long(e.snapshot)
		w.null() // The two sequence numbers are inherited from the manifest list.
		w.null()
		w.long(dataFiles)
		w.text(e.data + "/" + files[i].Path)
		w.text(fileFormat)
		w.long(files[i].Rows)
		w.long(files[i].Size)
		w.stats(files[i].Rows, e.fileStats(t, i))
	})
}

// manifestList lists the manifests.
func (e *export) manifestList(manifests []manifest) ([]byte, error) {
	header := map[string]string{
		"snapshot-id": strconv.FormatInt(e.snapshot, 10), "sequence-number": strconv.Itoa(sequence), "format-version": "2",
	}
	return avroFile(listSchema, header, len(manifests), func(w *avroValue, i int) {
		w.text(manifests[i].location)
		w.long(manifests[i].size)
		w.long(0) // The partition spec.
		w.long(dataFiles)
		w.long(sequence)
		w.long(sequence)
		w.long(e.snapshot)
		w.long(int64(len(e.version.Files)))
		w.long(0)
		w.long(0)
		w.long(e.version.Rows)
		w.long(0)
		w.long(0)
	})
}
