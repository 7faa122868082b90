package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// commit is what one log entry did to the table, checked.
type commit struct {
	time     time.Time
	producer string
	message  string
	summary  summary
	adds     []File
	removes  []string
	txns     []delta.Txn

	schema       *arrow.Schema // Of the table after the commit.
	schemaString string        // Its canonical form.
	writable     error         // Why this package must not append after it.
	bad          error         // Why versions from here on cannot be read.
}

// summary is Millwright's own part of commitInfo.
type summary struct {
	Format int               `json:"format"`           // 1.
	Digest string            `json:"digest"`           // Of the version that the commit makes.
	Parent string            `json:"parent,omitempty"` // Digest of the version before.
	Record string            `json:"record,omitempty"` // Name of the commit record.
	Run    string            `json:"run,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// record is the file of a commit: what is too large for the log.
type record struct {
	Format     int               `json:"format"` // 1.
	ID         string            `json:"id"`
	Dataset    string            `json:"dataset"`
	Version    int64             `json:"version"`
	Digest     string            `json:"digest"`
	Parent     string            `json:"parent"`
	Time       time.Time         `json:"time"`
	Producer   string            `json:"producer"`
	Message    string            `json:"message,omitempty"`
	Run        string            `json:"run,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	App        string            `json:"app,omitempty"`
	AppVersion int64             `json:"appVersion,omitempty"`
	Rows       int64             `json:"rows"`
	Files      []File            `json:"files"`
	Profile    json.RawMessage   `json:"profile"` // Of the rows added.
}

// next applies an entry to the table that log describes. An entry that cannot
// be followed makes its version and all later ones unreadable, not the earlier.
func next(log []*commit, e *delta.Entry, fault error) *commit {
	c := &commit{}
	if n := len(log); n > 0 {
		before := log[n-1]
		c.schema, c.schemaString, c.writable, c.bad = before.schema, before.schemaString, before.writable, before.bad
	}
	if c.bad == nil && fault != nil {
		c.bad = fault
	}
	if c.bad == nil {
		if err := c.apply(e, len(log) == 0); err != nil {
			c.bad = fmt.Errorf("log entry %s: %w", delta.LogName(int64(len(log))), err)
		}
	}
	return c
}

func (c *commit) apply(e *delta.Entry, first bool) error {
	if first && (e.Protocol == nil || e.MetaData == nil) {
		return fmt.Errorf("version 0 lacks the protocol or the metadata: %w", ErrInvalid)
	}
	if info := e.CommitInfo; info != nil {
		c.time, c.producer, c.message = time.UnixMilli(info.Timestamp).UTC(), info.EngineInfo, info.UserMetadata
		if len(info.Millwright) > 0 {
			if err := json.Unmarshal(info.Millwright, &c.summary); err != nil {
				return fmt.Errorf("commitInfo.millwright: %w: %w", err, ErrInvalid)
			}
			if c.summary.Record != "" && !validRecord.MatchString(c.summary.Record) {
				return fmt.Errorf("commitInfo.millwright names the record %q: %w", c.summary.Record, ErrInvalid)
			}
		}
	}
	if p := e.Protocol; p != nil {
		if p.MinReader > delta.ReaderVersion {
			return fmt.Errorf("the table asks for a Delta reader of version %d, this one is %d: %w", p.MinReader, delta.ReaderVersion, ErrUnsupported)
		}
		c.writable = nil
		if p.MinWriter > delta.WriterVersion {
			c.writable = fmt.Errorf("the table asks for a Delta writer of version %d, this one is %d: %w", p.MinWriter, delta.WriterVersion, ErrUnsupported)
		}
	}
	if err := c.describe(e.MetaData, first); err != nil {
		return err
	}
	for _, a := range e.Adds {
		f, err := fileOf(a)
		if err != nil {
			return fmt.Errorf("%s, written by %q: %w", a.Path, c.producer, err)
		}
		c.adds = append(c.adds, f)
	}
	for _, r := range e.Removes {
		c.removes = append(c.removes, r.Path)
	}
	c.txns = e.Txns
	return nil
}

func (c *commit) describe(m *delta.MetaData, first bool) error {
	if m == nil {
		return nil
	}
	if m.Format.Provider != "parquet" || len(m.PartitionColumns) > 0 {
		return fmt.Errorf("the table is of format %q with %d partition columns, want unpartitioned parquet: %w", m.Format.Provider, len(m.PartitionColumns), ErrUnsupported)
	}
	if mode := m.Configuration["delta.columnMapping.mode"]; mode != "" && mode != "none" {
		return fmt.Errorf("the table maps its columns by %q: %w", mode, ErrUnsupported)
	}
	schema, err := delta.ParseSchema(m.SchemaString)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	canonical, faults := delta.SchemaString(schema)
	if len(faults) > 0 {
		return fmt.Errorf("%v: %w", faults, ErrUnsupported)
	}
	if !first && canonical != c.schemaString {
		return fmt.Errorf("another writer changed the schema: %w", ErrUnsupported)
	}
	c.schema, c.schemaString = schema, canonical
	return nil
}

var (
	validRecord = regexp.MustCompile(`^[0-9a-f]{32}-[0-9]{1,19}$`)
	ownFile     = regexp.MustCompile(`^_refs/data/([0-9a-f]{64})(-[0-9]{1,9})?\.parquet$`)
)

// maxFileBytes bounds what is read into memory for one file. Ours are far
// below.
const maxFileBytes = 1 << 30

// fileOf checks a data file of the log. Only files that carry their digest in
// the name can be checked when they are read.
func fileOf(a delta.Add) (File, error) {
	m := ownFile.FindStringSubmatch(a.Path)
	if m == nil {
		return File{}, fmt.Errorf("only files named by their SHA-256 can be checked, and are read: %w", ErrUnsupported)
	}
	if len(a.DeletionVector) > 0 && string(a.DeletionVector) != "null" {
		return File{}, fmt.Errorf("deletion vectors are not read: %w", ErrUnsupported)
	}
	if a.Size > maxFileBytes {
		return File{}, fmt.Errorf("the file is %d bytes long, want at most %d: %w", a.Size, maxFileBytes, ErrUnsupported)
	}
	var stats struct {
		NumRecords *int64 `json:"numRecords"`
	}
	if err := json.Unmarshal([]byte(a.Stats), &stats); err != nil || stats.NumRecords == nil || *stats.NumRecords < 0 || *stats.NumRecords > math.MaxInt32*1024 {
		return File{}, errors.Join(fmt.Errorf("the statistics do not say how many rows the file has: %w", ErrUnsupported), err)
	}
	return File{Path: a.Path, SHA256: m[1], Size: a.Size, Rows: *stats.NumRecords}, nil
}

// committed finds the version in which an application wrote its version n.
// behind is how far the application has come when n itself is not there.
func committed(log []*commit, app string, n int64) (version int64, found bool, behind int64) {
	behind = -1
	for i, c := range log {
		for _, t := range c.txns {
			if t.AppID == app {
				if t.Version == n {
					return int64(i), true, 0
				}
				behind = max(behind, t.Version)
			}
		}
	}
	return 0, false, behind
}
