package delta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// ReaderVersion and WriterVersion are the protocol versions of our tables: the
// lowest, so that every engine reads them.
const (
	ReaderVersion = 1
	WriterVersion = 2
)

// FeatureWriterVersion is the first writer version with named features.
const FeatureWriterVersion = 7

// maxActions bounds the actions of one commit, and so the memory that one log
// file takes when it is read.
const maxActions = 1 << 20

// Entry is one commit: the content of one _delta_log/<version>.json.
type Entry struct {
	CommitInfo *CommitInfo
	Protocol   *Protocol
	MetaData   *MetaData
	Txns       []Txn
	Adds       []Add
	Removes    []Remove
}

// CommitInfo is the free-form provenance of a commit. Engines ignore the keys
// they do not know, so Millwright's own part travels in one key.
type CommitInfo struct {
	Timestamp     int64           `json:"timestamp"` // Unix milliseconds.
	Operation     string          `json:"operation"`
	Parameters    json.RawMessage `json:"operationParameters,omitempty"`
	EngineInfo    string          `json:"engineInfo,omitempty"`
	IsBlindAppend bool            `json:"isBlindAppend,omitempty"`
	UserMetadata  string          `json:"userMetadata,omitempty"`
	TxnID         string          `json:"txnId,omitempty"`
	Millwright    json.RawMessage `json:"millwright,omitempty"`
}

// Protocol is the lowest versions of readers and writers that may touch the
// table.
type Protocol struct {
	MinReader int `json:"minReaderVersion"`
	MinWriter int `json:"minWriterVersion"`
	// The named features of reader version 3 and writer version 7.
	ReaderFeatures []string `json:"readerFeatures,omitempty"`
	WriterFeatures []string `json:"writerFeatures,omitempty"`
}

// MetaData is the table's own description.
type MetaData struct {
	ID               string            `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Format           Format            `json:"format"`
	SchemaString     string            `json:"schemaString"`
	PartitionColumns []string          `json:"partitionColumns"`
	Configuration    map[string]string `json:"configuration"`
	CreatedTime      int64             `json:"createdTime,omitempty"` // Unix milliseconds.
}

// Format names the format of the data files.
type Format struct {
	Provider string            `json:"provider"`
	Options  map[string]string `json:"options"`
}

// Txn records how far an application's own sequence of writes has come.
type Txn struct {
	AppID       string `json:"appId"`
	Version     int64  `json:"version"`
	LastUpdated int64  `json:"lastUpdated,omitempty"` // Unix milliseconds.
}

// Add brings one data file into the table.
type Add struct {
	Path             string            `json:"path"` // Decoded, relative to the table's root.
	PartitionValues  map[string]string `json:"partitionValues"`
	Size             int64             `json:"size"`
	ModificationTime int64             `json:"modificationTime"` // Unix milliseconds.
	DataChange       bool              `json:"dataChange"`
	Stats            string            `json:"stats,omitempty"`
	Tags             map[string]string `json:"tags,omitempty"`
	DeletionVector   json.RawMessage   `json:"deletionVector,omitempty"`
}

// Remove takes one data file out of the table.
type Remove struct {
	Path              string `json:"path"`
	DeletionTimestamp int64  `json:"deletionTimestamp,omitempty"`
	DataChange        bool   `json:"dataChange"`
}

// action is one line: exactly one of the fields is set. Lines of other actions
// (domain metadata, change files) say nothing about the rows and are skipped,
// as the protocol asks of a reader.
type action struct {
	CommitInfo *CommitInfo `json:"commitInfo,omitempty"`
	Protocol   *Protocol   `json:"protocol,omitempty"`
	MetaData   *MetaData   `json:"metaData,omitempty"`
	Txn        *Txn        `json:"txn,omitempty"`
	Add        *Add        `json:"add,omitempty"`
	Remove     *Remove     `json:"remove,omitempty"`
}

// Parse reads one commit. The bytes may come from anybody: everything that is
// used later is checked here.
func Parse(data []byte) (*Entry, error) {
	var e Entry
	n := 0
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if n++; n > maxActions {
			return nil, fmt.Errorf("more than %d actions in one commit", maxActions)
		}
		var a action
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("action %d is not a Delta action: %w", n, err)
		}
		if err := e.take(&a); err != nil {
			return nil, fmt.Errorf("action %d: %w", n, err)
		}
	}
	if n == 0 {
		return nil, errors.New("the file holds no action")
	}
	return &e, nil
}

func (e *Entry) take(a *action) error {
	switch {
	case a.CommitInfo != nil:
		if e.CommitInfo != nil {
			return errors.New("a second commitInfo")
		}
		e.CommitInfo = a.CommitInfo
	case a.Protocol != nil:
		if e.Protocol != nil {
			return errors.New("a second protocol")
		}
		e.Protocol = a.Protocol
		return a.Protocol.check()
	case a.MetaData != nil:
		if e.MetaData != nil {
			return errors.New("a second metaData")
		}
		e.MetaData = a.MetaData
		return a.MetaData.check()
	case a.Txn != nil:
		if err := a.Txn.check(); err != nil {
			return err
		}
		e.Txns = append(e.Txns, *a.Txn)
	case a.Add != nil:
		if err := a.Add.check(); err != nil {
			return err
		}
		e.Adds = append(e.Adds, *a.Add)
	case a.Remove != nil:
		p, err := DecodePath(a.Remove.Path)
		if err != nil {
			return fmt.Errorf("remove: %w", err)
		}
		a.Remove.Path = p
		e.Removes = append(e.Removes, *a.Remove)
	}
	return nil
}

// DecodePath turns the URI of an action into a path below the table's root.
func DecodePath(uri string) (string, error) {
	p, err := url.PathUnescape(uri)
	if err != nil {
		return "", fmt.Errorf("path %q is not a valid URI: %w", uri, err)
	}
	if p == "" || strings.HasPrefix(p, "/") || strings.Contains(p, ":") && scheme.MatchString(p) {
		return "", fmt.Errorf("path %q is not relative to the table", uri)
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", fmt.Errorf("path %q has an empty or dotted segment", uri)
		}
	}
	if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return "", fmt.Errorf("path %q holds control characters", uri)
	}
	return p, nil
}

var scheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)

// Encode writes the commit as the protocol wants it: one JSON action a line,
// commitInfo first.
func (e *Entry) Encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	put := func(a action) error { return enc.Encode(a) }
	if e.CommitInfo != nil {
		if err := put(action{CommitInfo: e.CommitInfo}); err != nil {
			return nil, err
		}
	}
	if e.Protocol != nil {
		if err := put(action{Protocol: e.Protocol}); err != nil {
			return nil, err
		}
	}
	if e.MetaData != nil {
		if err := put(action{MetaData: e.MetaData}); err != nil {
			return nil, err
		}
	}
	for i := range e.Txns {
		if err := put(action{Txn: &e.Txns[i]}); err != nil {
			return nil, err
		}
	}
	for _, r := range e.Removes {
		r.Path = EncodePath(r.Path)
		if err := put(action{Remove: &r}); err != nil {
			return nil, err
		}
	}
	for _, a := range e.Adds {
		a.Path = EncodePath(a.Path)
		if a.PartitionValues == nil {
			a.PartitionValues = map[string]string{}
		}
		if err := put(action{Add: &a}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// EncodePath is the inverse of DecodePath.
func EncodePath(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(s), ":", "%3A")
	}
	return strings.Join(segments, "/")
}
