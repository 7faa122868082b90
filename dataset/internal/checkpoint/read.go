package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// Read decodes the checkpoint that the parts make, in their order. The bytes
// may come from any engine, or from anybody: they are checked as the lines of a
// log are, and damage is an error.
func Read(parts ...[]byte) (*State, error) {
	e := &delta.Entry{}
	rows := int64(0)
	for i, data := range parts {
		err := pqfile.Guard("read", func() error { return readPart(e, data, &rows) })
		switch {
		case err != nil && len(parts) > 1:
			return nil, fmt.Errorf("checkpoint part %d: %w", i+1, err)
		case err != nil:
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	if e.Protocol == nil || e.MetaData == nil {
		return nil, errors.New("checkpoint: it lacks the protocol or the metadata")
	}
	return &State{Protocol: e.Protocol, MetaData: e.MetaData, Txns: e.Txns, Adds: e.Adds}, nil
}

// parquetFile is a checkpoint, whoever reads it.
type parquetFile interface {
	paths() [][]string // Of the leaf columns.
	groups() int
	rows(g int) int64
	group(g int) columns
}

func readPart(e *delta.Entry, data []byte, rows *int64) error {
	trial, count := clipped(e), *rows
	f, err := openOwn(data)
	if err == nil {
		if err = readFile(trial, f, &count); err == nil {
			*e, *rows = *trial, count
			return nil
		}
	}
	if !errors.Is(err, pqfile.ErrForeign) {
		return err
	}
	other, err := openLibrary(data)
	if err != nil {
		return err
	}
	return readFile(e, other, rows)
}

// clipped is a copy that can grow without a trace in e.
func clipped(e *delta.Entry) *delta.Entry {
	out := *e
	out.Txns, out.Adds = slices.Clip(e.Txns), slices.Clip(e.Adds)
	return &out
}

func readFile(e *delta.Entry, f parquetFile, rows *int64) error {
	leaves := map[string]int{}
	for i, path := range f.paths() {
		if path[0] == "sidecar" || path[0] == "checkpointMetadata" {
			return errors.New("it is of the V2 form, which this release does not read")
		}
		leaves[leafName(path)] = i
	}
	if _, ok := leaves["add.path"]; !ok {
		return errors.New("it has no column add.path")
	}
	for g := range f.groups() {
		n := f.rows(g)
		if n < 0 || n > maxActions-*rows {
			return fmt.Errorf("row group %d claims %d actions, want at most %d in all", g, n, maxActions)
		}
		*rows += n
		t := &table{from: f.group(g), number: g, leaves: leaves, rows: int(n)}
		if err := t.actions(e); err != nil {
			return err
		}
	}
	return nil
}

// ownFile is a checkpoint of the form that nearly all have, read by our own
// decoder.
type ownFile struct{ table *pqfile.Table }

func openOwn(data []byte) (ownFile, error) {
	t, err := pqfile.OpenTable(data)
	return ownFile{t}, err
}

func (f ownFile) paths() [][]string {
	out := make([][]string, len(f.table.Leaves()))
	for i, l := range f.table.Leaves() {
		out[i] = l.Path
	}
	return out
}

func (f ownFile) groups() int         { return f.table.Groups() }
func (f ownFile) rows(g int) int64    { return f.table.Rows(g) }
func (f ownFile) group(g int) columns { return ownGroup{f.table, g} }

type ownGroup struct {
	table *pqfile.Table
	group int
}

func (g ownGroup) texts(i int) (*leaf[string], error) { return taken(g.table.Texts(g.group, i)) }
func (g ownGroup) ints(i int) (*leaf[int64], error)   { return taken(g.table.Ints(g.group, i)) }

func taken[T any](l *pqfile.Levels[T], err error) (*leaf[T], error) {
	if err != nil {
		return nil, err
	}
	return &leaf[T]{l.Values, l.Slots, l.Starts}, nil
}

// leafName is the path of a leaf without the names of the groups that lists and
// maps repeat, which differ from writer to writer.
func leafName(path []string) string {
	if len(path) >= 4 && path[len(path)-2] != "add" {
		switch last := path[len(path)-1]; {
		case last == "key" || last == "value":
			return strings.Join(path[:len(path)-2], ".") + "." + last
		case path[len(path)-2] == "list" || path[len(path)-2] == "bag":
			return strings.Join(path[:len(path)-2], ".") + ".element"
		}
	}
	return strings.Join(path, ".")
}

// actions takes the rows of one row group.
func (t *table) actions(e *delta.Entry) error {
	if err := t.protocol(e); err != nil {
		return err
	}
	if err := t.metaData(e); err != nil {
		return err
	}
	if err := t.txns(e); err != nil {
		return err
	}
	return t.adds(e)
}

func (t *table) protocol(e *delta.Entry) error {
	reader, writer := t.ints("protocol.minReaderVersion"), t.ints("protocol.minWriterVersion")
	readers, writers := t.lists("protocol.readerFeatures"), t.lists("protocol.writerFeatures")
	for i := range t.rows {
		if !reader.has(i) {
			continue
		}
		p := &delta.Protocol{MinReader: int(reader.at(i)), MinWriter: int(writer.at(i)), ReaderFeatures: readers.at(i), WriterFeatures: writers.at(i)}
		if err := t.err; err != nil {
			return err
		}
		if err := e.Take(p, nil, nil, nil); err != nil {
			return t.fault(i, err)
		}
	}
	return t.err
}

func (t *table) metaData(e *delta.Entry) error {
	schema := t.texts("metaData.schemaString")
	if t.err != nil || !schema.any() {
		return t.err
	}
	id, name, description := t.texts("metaData.id"), t.texts("metaData.name"), t.texts("metaData.description")
	provider, options := t.texts("metaData.format.provider"), t.maps("metaData.format.options")
	partition, configuration := t.lists("metaData.partitionColumns"), t.maps("metaData.configuration")
	created := t.ints("metaData.createdTime")
	if t.err != nil {
		return t.err
	}
	for i := range t.rows {
		if !schema.has(i) {
			continue
		}
		m := &delta.MetaData{
			ID: id.at(i), Name: name.at(i), Description: description.at(i), SchemaString: schema.at(i), CreatedTime: created.at(i),
			Format: delta.Format{Provider: provider.at(i), Options: options.at(i)}, PartitionColumns: partition.at(i), Configuration: configuration.at(i),
		}
		if m.Format.Options == nil {
			m.Format.Options = map[string]string{}
		}
		if m.PartitionColumns == nil {
			m.PartitionColumns = []string{}
		}
		if m.Configuration == nil {
			m.Configuration = map[string]string{}
		}
		if err := e.Take(nil, m, nil, nil); err != nil {
			return t.fault(i, err)
		}
	}
	return nil
}

func (t *table) txns(e *delta.Entry) error {
	app := t.texts("txn.appId")
	if t.err != nil || !app.any() {
		return t.err
	}
	version, updated := t.ints("txn.version"), t.ints("txn.lastUpdated")
	if t.err != nil {
		return t.err
	}
	for i := range t.rows {
		if !app.has(i) {
			continue
		}
		if err := e.Take(nil, nil, &delta.Txn{AppID: app.at(i), Version: version.at(i), LastUpdated: updated.at(i)}, nil); err != nil {
			return t.fault(i, err)
		}
	}
	return nil
}

func (t *table) adds(e *delta.Entry) error {
	path := t.texts("add.path")
	if t.err != nil || !path.any() {
		return t.err
	}
	size, modified, stats := t.ints("add.size"), t.ints("add.modificationTime"), t.texts("add.stats")
	partition, tags := t.maps("add.partitionValues"), t.maps("add.tags")
	vector := t.texts("add.deletionVector.storageType")
	if t.err != nil {
		return t.err
	}
	e.Adds = slices.Grow(e.Adds, len(path.values))
	for i := range t.rows {
		if !path.has(i) {
			continue
		}
		if !size.has(i) {
			return t.fault(i, fmt.Errorf("add %q has no size", path.at(i)))
		}
		a := &delta.Add{
			Path: path.at(i), PartitionValues: partition.at(i), Size: size.at(i), ModificationTime: modified.at(i), Stats: stats.at(i), Tags: tags.at(i),
		}
		if vector.has(i) {
			a.DeletionVector = []byte(`{}`) // That there is one is all that matters: it is refused.
		}
		if err := e.Take(nil, nil, nil, a); err != nil {
			return t.fault(i, err)
		}
	}
	return nil
}

func (t *table) fault(row int, err error) error {
	return fmt.Errorf("row group %d, action %d: %w", t.number, row, err)
}
