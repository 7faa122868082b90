package delta_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// deltaRS is a first commit as delta-rs 1.6.6 wrote it, shortened.
const deltaRS = `{"commitInfo":{"timestamp":1795249423357,"operation":"WRITE","operationParameters":{"mode":"ErrorIfExists"},"engineInfo":"delta-rs:py-1.6.6","operationMetrics":{"num_added_files":1}}}
{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"508a6aca-d79f-4b32-bbe0-e36da700c37e","name":null,"description":null,"format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"b\",\"type\":\"boolean\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"createdTime":1795249423353,"configuration":{}}}
{"domainMetadata":{"domain":"x","configuration":"","removed":false}}
{"add":{"path":"part-00000-a%20b.parquet","partitionValues":{},"size":2845,"modificationTime":1795249423357,"dataChange":true,"stats":"{\"numRecords\":3}","tags":null,"baseRowId":null,"defaultRowCommitVersion":null,"clusteringProvider":null}}
{"remove":{"path":"old.parquet","dataChange":true,"deletionTimestamp":5}}
{"txn":{"appId":"a","version":3}}
`

func TestParseACommitOfDeltaRS(t *testing.T) {
	t.Parallel()
	e, err := delta.Parse([]byte(deltaRS))
	require.NoError(t, err)
	require.Equal(t, "delta-rs:py-1.6.6", e.CommitInfo.EngineInfo)
	require.Equal(t, &delta.Protocol{MinReader: 1, MinWriter: 2}, e.Protocol)
	require.Equal(t, "parquet", e.MetaData.Format.Provider)
	require.Equal(t, "part-00000-a b.parquet", e.Adds[0].Path)
	require.EqualValues(t, 2845, e.Adds[0].Size)
	require.Equal(t, "old.parquet", e.Removes[0].Path)
	require.Equal(t, delta.Txn{AppID: "a", Version: 3}, e.Txns[0])
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	add := func(path string) string {
		return `{"add":{"path":"` + path + `","partitionValues":{},"size":1,"modificationTime":0,"dataChange":true}}`
	}
	for entry, want := range map[string]string{
		"":                      "no action",
		"\n\n":                  "no action",
		"[]":                    "not a Delta action",
		`{"add":{"size":"x"}}`:  "not a Delta action",
		add("/etc/passwd"):      "not relative",
		add("s3://bucket/x"):    "not relative",
		add("%2e%2e/x"):         "dotted segment",
		add("a//b"):             "dotted segment",
		add("%zz"):              "not a valid URI",
		add("a%0ab"):            "control characters",
		`{"txn":{"version":1}}`: "without an appId",
		`{"metaData":{}}`:       "without a schemaString",
		`{"protocol":{}}`:       "want at least 1/1",
		deltaRS + deltaRS:       "a second commitInfo",
		strings.Replace(add("x"), `"size":1`, `"size":-1`, 1): "size is -1",
	} {
		_, err := delta.Parse([]byte(entry))
		require.ErrorContains(t, err, want, entry)
	}
}

func TestLogNames(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 7, 1 << 40} {
		got, ok := delta.ParseLogName(delta.LogName(n))
		require.True(t, ok)
		require.Equal(t, n, got)
	}
	for _, name := range []string{"_last_checkpoint", "00000000000000000010.checkpoint.parquet", "1.json", "99999999999999999999.json", "0000000000000000000x.json"} {
		_, ok := delta.ParseLogName(name)
		require.False(t, ok, name)
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add([]byte(deltaRS))
	for line := range strings.Lines(deltaRS) {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"add":{"path":"%41","stats":"{}","deletionVector":{"x":1}}}`))
	f.Add([]byte(`{"commitInfo":{"millwright":{"format":1},"timestamp":-1}}` + "\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := delta.Parse(data)
		if err != nil {
			return
		}
		// What was understood is written so that it is understood alike.
		out, err := e.Encode()
		require.NoError(t, err)
		if len(out) == 0 {
			return // Only actions that say nothing about the rows.
		}
		again, err := delta.Parse(out)
		require.NoError(t, err)
		require.Equal(t, len(e.Adds), len(again.Adds))
		for i := range e.Adds {
			require.Equal(t, e.Adds[i].Path, again.Adds[i].Path)
			require.Equal(t, e.Adds[i].Size, again.Adds[i].Size)
			require.Equal(t, e.Adds[i].Stats, again.Adds[i].Stats)
		}
		require.Equal(t, e.Removes, again.Removes)
		require.Equal(t, e.Txns, again.Txns)
		require.Equal(t, e.Protocol, again.Protocol)
		if e.MetaData != nil {
			_, _ = delta.ParseSchema(e.MetaData.SchemaString)
		}
	})
}
