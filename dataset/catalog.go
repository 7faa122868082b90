package dataset

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/collect"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Catalog is a folder of datasets. It is a plain value: it holds no goroutine
// and needs no closing. It is safe for concurrent use, also by other processes
// on the same store.
type Catalog struct {
	store    blob.Store
	mem      memory.Allocator
	producer string
	tempDir  string
	layout   layout
	tails    tailCache
	rules    collect.Rules // Of garbage collections.
	workers  sync.Pool     // Of *worker: what one append leaves for the next.
}

// Options of New.
type Options struct {
	// Allocator gives the memory of the records that are read. The default is
	// the Go heap.
	Allocator memory.Allocator
	// Producer names the writing program in every commit ("churn-import 1.4").
	// The default is "Millwright".
	Producer string
	// TempDir is where the keys of columns that shall be unique go when there are
	// more than 16 million, as hashes and not encrypted. The default is the system's
	// folder for temporary files.
	TempDir string
}

// New returns the catalog of the datasets in a store. Put several catalogs in
// one store with blob.Sub.
func New(store blob.Store, opts *Options) *Catalog {
	c := &Catalog{store: store, mem: memory.DefaultAllocator, producer: "Millwright", layout: standardLayout, rules: standardRules}
	if opts != nil && opts.Allocator != nil {
		c.mem = opts.Allocator
	}
	if opts != nil {
		c.tempDir = opts.TempDir
	}
	if opts != nil && opts.Producer != "" {
		c.producer = opts.Producer
	}
	return c
}

// CreateOptions describe a new dataset.
type CreateOptions struct {
	// Description says for people what the rows are. The default is none.
	Description string
	// Properties are kept as table properties, which other engines show. Keys
	// that start with "delta." are refused: they change what the table means.
	Properties map[string]string
	// Expect is kept with the table: see Branch.SetExpectations. The default is
	// nothing.
	Expect []profile.Expectation
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Create makes a dataset whose version 0 has the schema and no rows. Metadata
// of the schema and of its fields is not kept.
//
// These Arrow types are exact in Delta Lake: bool, int8 to int64, float32,
// float64, utf8, binary, date32, timestamp[us, tz=UTC], decimal128, and list,
// map and struct of them. Every other is refused with a hint, all at once. So
// are names that other engines cannot say: empty, with any of " ,;{}()=", or
// different from another column's by letter case only.
//
// It returns ErrExists when the name is taken and ErrInvalid for a name, a
// schema or a property that is not acceptable.
func (c *Catalog) Create(ctx context.Context, name string, schema *arrow.Schema, opts *CreateOptions) (*Dataset, error) {
	if opts == nil {
		opts = &CreateOptions{}
	}
	var f errs.Faults
	f.Check(validName.MatchString(name), "a name has 1 to 128 letters, digits, '.', '_' or '-' and starts with a letter or digit")
	f.Check(len(opts.Description) <= maxMessage, "the description is %d bytes long, want at most %d", len(opts.Description), maxMessage)
	configuration := map[string]string{
		// Other engines must never tidy away old versions or their files.
		"delta.logRetentionDuration":         "interval 36500 days",
		"delta.deletedFileRetentionDuration": "interval 36500 days",
		"delta.enableExpiredLogCleanup":      "false",
	}
	for k, v := range opts.Properties {
		f.Check(!strings.HasPrefix(strings.ToLower(k), "delta."), "property %q: names that start with \"delta.\" belong to the protocol", k)
		f.Check(!strings.HasPrefix(k, "millwright."), "property %q: names that start with \"millwright.\" are ours", k)
		configuration[k] = v
	}
	schemaString := ""
	if schema == nil {
		f.Addf("the schema is nil")
	} else {
		var faults []string
		schemaString, faults = delta.SchemaString(schema)
		for _, fault := range faults {
			f.Addf("%s", fault)
		}
	}
	if len(opts.Expect) > 0 && schema != nil {
		configuration[expectProperty] = encodeExpectations(&f, schema, opts.Expect)
	}
	if err := f.Err(fmt.Sprintf("dataset: create %q", name)); err != nil {
		return nil, err
	}

	now := time.Now().UnixMilli()
	id := newID()
	own, err := json.Marshal(summary{Format: 1, Commit: id, Digest: digest(schemaString, nil)})
	if err != nil {
		return nil, fmt.Errorf("dataset: create %q: %w", name, err)
	}
	entry := &delta.Entry{
		CommitInfo: &delta.CommitInfo{Timestamp: now, Operation: "CREATE TABLE", EngineInfo: c.producer, TxnID: id, Millwright: own},
		Protocol:   &delta.Protocol{MinReader: delta.ReaderVersion, MinWriter: delta.WriterVersion},
		MetaData: &delta.MetaData{
			ID: uuid(id), Name: name, Description: opts.Description, Format: delta.Format{Provider: "parquet", Options: map[string]string{}},
			SchemaString: schemaString, PartitionColumns: []string{}, Configuration: configuration, CreatedTime: now,
		},
	}
	d := c.dataset(name)
	switch outcome, _, err := d.log.publish(ctx, 0, entry); {
	case err != nil:
		return nil, fmt.Errorf("dataset: create %q: %w", name, err)
	case outcome == lost:
		return nil, fmt.Errorf("dataset: create %q: %w", name, ErrExists)
	}
	d.log.learn(d.log.apply(nil, 0, entry, nil))
	return d, nil
}

// Open returns a dataset that exists, ErrNotFound otherwise.
func (c *Catalog) Open(ctx context.Context, name string) (*Dataset, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("dataset: open %q: a name has 1 to 128 letters, digits, '.', '_' or '-' and starts with a letter or digit: %w", name, ErrInvalid)
	}
	d := c.dataset(name)
	if _, err := d.log.latest(ctx); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotFound
		}
		return nil, fmt.Errorf("dataset: open %q: %w", name, err)
	}
	return d, nil
}

// newID returns 128 random bits in hex.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // Never fails, by its contract.
	return hex.EncodeToString(b[:])
}

// uuid writes an id in the form that Delta asks for a table id.
func uuid(id string) string {
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}
