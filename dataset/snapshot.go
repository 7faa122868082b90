package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// refsFeature is the writer feature of the refs log: engines that do not know
// it read the branches and leave them alone.
const refsFeature = "millwrightRefs"

// refsFeatures are the writer features of the refs log: beside ours those that
// writer version 2 stands for, which Spark wants to see named once any is.
func refsFeatures() []string { return []string{"appendOnly", "invariants", refsFeature} }

const (
	// tagOrder keeps the order of the rows: it survives checkpoints of other
	// engines, and logs in which branches take turns.
	tagOrder = "millwright.order"
	// tagRecord names the commit record that has the profile of the file's rows.
	tagRecord = "millwright.record"
	// orderStep is the distance of two files in the order, so that the pieces of
	// a rewritten file find room.
	orderStep = 1 << 20
)

// snapshot is the state of a table at one entry of its log. It is immutable.
type snapshot struct {
	version  int64
	files    []*dataFile // Live, in the order of the rows.
	rows     int64
	foreign  int      // How many of the files are not named by their digest.
	hashes   []string // SHA-256 of the others, sorted.
	protocol *delta.Protocol
	metaData *delta.MetaData
	txns     map[string]delta.Txn

	schema       *arrow.Schema
	schemaString string  // Its canonical form.
	commit       *commit // Of the entry; nil when the state came from a checkpoint.
	writable     error   // Why this package must not write after it.
	bad          error   // Why versions from here on cannot be read.

	digestOnce sync.Once
	digestText string
}

// dataFile is a live file and what its add action says.
type dataFile struct {
	File
	stats    string            // add.stats: JSON.
	tags     map[string]string // add.tags.
	order    int64             // Place among the rows.
	modified int64             // Unix milliseconds.
	fault    error             // Why the file cannot be read.
	refused  bool              // The fault is one that adoption cannot mend.
}

// draft is a file that is stored and not yet in the table.
type draft struct {
	File
	stats string
	tags  map[string]string
	order int64 // 0 puts it behind all others.
	// written is when the file was stored, or found to be; zero for a file of
	// another version. By the monotonic clock.
	written time.Time
}

// draft makes a file of one version ready for another commit.
func (f *dataFile) draft() draft {
	return draft{File: f.File, stats: f.stats, tags: f.tags, order: f.order}
}

var ownFile = regexp.MustCompile(`^_refs/data/([0-9a-f]{64})(-[0-9]{1,9})?\.parquet$`)

// maxFileBytes bounds what is read into memory for one file. Ours are far
// below.
const maxFileBytes = 1 << 30

// fileOf takes a file out of the log whose paths start at root.
func fileOf(root string, a *delta.Add) *dataFile {
	f := &dataFile{File: File{Path: root + a.Path, Size: a.Size}, stats: a.Stats, tags: a.Tags, modified: a.ModificationTime}
	f.SHA256 = digestOf(f.Path)
	if n, err := strconv.ParseInt(a.Tags[tagOrder], 10, 64); err == nil && n > 0 {
		f.order = n
	}
	var stats struct {
		NumRecords *int64 `json:"numRecords"`
	}
	var err error
	if n, ok := firstCount(a.Stats); ok && f.own() {
		stats.NumRecords = &n
	} else {
		err = json.Unmarshal([]byte(a.Stats), &stats)
	}
	switch {
	case len(a.DeletionVector) > 0 && string(a.DeletionVector) != "null":
		f.refused = true
		f.fault = fmt.Errorf("deletion vectors are not read: %w", ErrUnsupported)
	case len(a.PartitionValues) > 0:
		f.refused = true
		f.fault = fmt.Errorf("it belongs to a partition, and values that are not in the file are not read: %w", ErrUnsupported)
	case a.Size > maxFileBytes:
		f.refused = true
		f.fault = fmt.Errorf("the file is %d bytes long, want at most %d: %w", a.Size, maxFileBytes, ErrUnsupported)
	case err != nil || stats.NumRecords == nil || *stats.NumRecords < 0 || *stats.NumRecords > math.MaxInt32*1024:
		f.fault = errors.Join(fmt.Errorf("the statistics do not say how many rows the file has: %w", ErrUnsupported), err)
	default:
		f.Rows = *stats.NumRecords
	}
	return f
}

// digestOf is the SHA-256 in the name of a file of ours, "" in that of another:
// what ownFile matches, for long lists of names.
func digestOf(path string) string {
	name, ok := strings.CutPrefix(path, "_refs/data/")
	if !ok || len(name) < 2*sha256.Size {
		return ""
	}
	digits, rest := name[:2*sha256.Size], name[2*sha256.Size:]
	for _, c := range []byte(digits) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	if rest != ".parquet" && !ownFile.MatchString(path) {
		return ""
	}
	return digits
}

// firstCount reads the number of rows where our own statistics have it, at their
// start, without the rest of them.
func firstCount(stats string) (n int64, ok bool) {
	text, ok := strings.CutPrefix(stats, `{"numRecords":`)
	end := strings.IndexAny(text, ",}")
	if !ok || end < 1 || end > 15 || text[0] == '0' && end > 1 {
		return 0, false
	}
	for _, c := range []byte(text[:end]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// add is the action that brings the file into the log whose paths start at
// root.
func (f *dataFile) add(root string, dataChange bool) delta.Add {
	tags := f.tags
	if f.order > 0 && tags[tagOrder] == "" {
		if tags = maps.Clone(tags); tags == nil {
			tags = map[string]string{}
		}
		tags[tagOrder] = strconv.FormatInt(f.order, 10)
	}
	return delta.Add{
		Path: strings.TrimPrefix(f.Path, root), PartitionValues: map[string]string{}, Size: f.Size, ModificationTime: f.modified,
		DataChange: dataChange, Stats: f.stats, Tags: tags,
	}
}

// apply gives the state after an entry. An entry that cannot be followed makes
// its version and all later ones unreadable, not the earlier. before is nil for
// the first entry.
func (l *logbook) apply(before *snapshot, n int64, e *delta.Entry, fault error) *snapshot {
	s := &snapshot{version: n}
	if before != nil {
		s.files, s.rows, s.foreign, s.hashes, s.protocol, s.metaData, s.txns = before.files, before.rows, before.foreign, before.hashes, before.protocol, before.metaData, before.txns
		s.schema, s.schemaString, s.writable, s.bad = before.schema, before.schemaString, before.writable, before.bad
	}
	if fault == nil {
		s.commit = commitOf(n, e)
		fault = s.commit.fault
		if s.commit.summary.Squashed {
			fault = fmt.Errorf("an erase took this version out of the history: %w", ErrNotFound)
		}
		if fault == nil && s.bad == nil {
			fault = s.follow(l, e, before == nil)
		}
		if fault != nil {
			fault = fmt.Errorf("log entry %s: %w", l.root+logFolder+delta.LogName(n), fault)
		}
	}
	if s.bad == nil {
		s.bad = fault
	}
	return s
}

func (s *snapshot) follow(l *logbook, e *delta.Entry, first bool) error {
	if first && (e.Protocol == nil || e.MetaData == nil) {
		return fmt.Errorf("version 0 lacks the protocol or the metadata: %w", ErrInvalid)
	}
	if e.Protocol != nil {
		if err := s.setProtocol(e.Protocol, l); err != nil {
			return err
		}
	}
	if e.MetaData != nil {
		if err := s.setMetaData(e.MetaData); err != nil {
			return err
		}
	}
	if len(e.Txns) > 0 {
		s.txns = maps.Clone(s.txns)
		if s.txns == nil {
			s.txns = map[string]delta.Txn{}
		}
		for _, t := range e.Txns {
			s.txns[t.AppID] = t
		}
	}
	return s.change(l.root, e)
}

func (s *snapshot) setProtocol(p *delta.Protocol, l *logbook) error {
	if p.MinReader > delta.ReaderVersion {
		return fmt.Errorf("the table asks for a Delta reader of version %d, this one is %d: %w", p.MinReader, delta.ReaderVersion, ErrUnsupported)
	}
	s.protocol, s.writable = p, nil
	own := l.root != "" && p.MinWriter == delta.FeatureWriterVersion && !slices.ContainsFunc(p.WriterFeatures, func(f string) bool {
		return !slices.Contains(refsFeatures(), f)
	})
	if p.MinWriter > delta.WriterVersion && !own {
		s.writable = fmt.Errorf("the table asks for a Delta writer of version %d %v, this one is %d: %w", p.MinWriter, p.WriterFeatures, delta.WriterVersion, ErrUnsupported)
	}
	return nil
}

func (s *snapshot) setMetaData(m *delta.MetaData) error {
	if m.Format.Provider != "parquet" || len(m.PartitionColumns) > 0 {
		return fmt.Errorf("the table is of format %q with %d partition columns, want unpartitioned parquet: %w", m.Format.Provider, len(m.PartitionColumns), ErrUnsupported)
	}
	if mode := m.Configuration["delta.columnMapping.mode"]; mode != "" && mode != "none" {
		return fmt.Errorf("the table maps its columns by %q: %w", mode, ErrUnsupported)
	}
	s.metaData = m
	schema, err := delta.ParseSchema(m.SchemaString)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	canonical, faults := delta.SchemaString(schema)
	if len(faults) > 0 {
		return fmt.Errorf("%v: %w", faults, ErrUnsupported)
	}
	s.schema, s.schemaString = schema, canonical
	return nil
}

// change applies the removes and adds. A path that is added again replaces the
// file it named.
func (s *snapshot) change(root string, e *delta.Entry) error {
	if len(e.Removes)+len(e.Adds) == 0 {
		return nil
	}
	gone := make(map[string]bool, len(e.Removes)+len(e.Adds))
	for i := range e.Removes {
		gone[root+e.Removes[i].Path] = true
	}
	fresh := make([]*dataFile, 0, len(e.Adds))
	added := make(map[string]bool, len(e.Adds))
	known := len(e.Removes) == 0 && s.foreign == 0 // Whether no file can be replaced.
	for i := range e.Adds {
		f := fileOf(root, &e.Adds[i])
		if added[f.Path] {
			return fmt.Errorf("it adds %s twice: %w", f.Path, ErrInvalid)
		}
		gone[f.Path], added[f.Path] = true, true
		fresh = append(fresh, f)
		if known {
			_, twin := slices.BinarySearch(s.hashes, f.SHA256)
			known = f.SHA256 != "" && !twin
		}
	}
	s.take(gone, fresh, known)
	return nil
}

// take replaces the files whose paths are gone by the fresh ones. unique says
// that none of the paths is there.
func (s *snapshot) take(gone map[string]bool, fresh []*dataFile, unique bool) {
	files := slices.Grow(slices.Clip(s.files), len(fresh))
	hashes := slices.Grow(slices.Clip(s.hashes), len(fresh))
	if !unique {
		files = make([]*dataFile, 0, len(s.files)+len(fresh))
		lost := map[string]int{}
		for _, f := range s.files {
			if !gone[f.Path] {
				files = append(files, f)
				continue
			}
			s.rows -= f.Rows
			if f.SHA256 == "" {
				s.foreign--
			} else {
				lost[f.SHA256]++
			}
		}
		hashes = make([]string, 0, len(s.hashes)+len(fresh))
		for _, h := range s.hashes {
			if lost[h] > 0 {
				lost[h]--
				continue
			}
			hashes = append(hashes, h)
		}
	}
	kept, last := len(hashes), int64(0)
	if n := len(files); n > 0 {
		last = files[n-1].order
	}
	sorted := true
	for _, f := range fresh {
		if f.order == 0 {
			f.order = nextOrder(last)
		}
		sorted = sorted && f.order > last
		last = max(last, f.order)
		files = append(files, f)
		s.rows += f.Rows
		if f.SHA256 == "" {
			s.foreign++
		} else {
			hashes = append(hashes, f.SHA256)
		}
	}
	if !sorted {
		slices.SortStableFunc(files, byOrder)
	}
	sortTail(hashes, kept)
	s.files, s.hashes = files, hashes
}

// sortTail sorts a list of which the first n are sorted already: a few that are
// new are put where they belong, many are sorted with all.
func sortTail(list []string, n int) {
	if len(list)-n > 16 {
		slices.Sort(list)
		return
	}
	for i := max(n, 1); i < len(list); i++ {
		h := list[i]
		at, _ := slices.BinarySearch(list[:i], h)
		copy(list[at+1:i+1], list[at:i])
		list[at] = h
	}
}

// count counts the rows and sorts the hashes of a state that came whole.
func (s *snapshot) count() {
	files := s.files
	s.files, s.hashes, s.rows, s.foreign = nil, nil, 0, 0
	s.take(nil, files, true)
}

func byOrder(a, b *dataFile) int {
	switch {
	case a.order != b.order && a.order < b.order:
		return -1
	case a.order != b.order:
		return 1
	}
	return strings.Compare(a.Path, b.Path)
}

// nextOrder is the place behind a file.
func nextOrder(last int64) int64 { return last/orderStep*orderStep + orderStep }

// readable says why the version cannot be read, nil when it can.
func (s *snapshot) readable() error {
	if s.bad != nil {
		return s.bad
	}
	var list []error
	for _, f := range s.files {
		if f.fault == nil {
			continue
		}
		if list = append(list, fmt.Errorf("file %s: %w", f.Path, f.fault)); len(list) == 5 {
			break
		}
	}
	return errors.Join(list...)
}

// digest is the name of the content; "" while there are files that are not
// named by theirs.
func (s *snapshot) digest() string {
	s.digestOnce.Do(func() {
		if s.foreign == 0 && s.bad == nil {
			s.digestText = digest(s.schemaString, s.hashes)
		}
	})
	return s.digestText
}

// digest is the name of a version's content. The hashes are sorted.
func digest(schema string, hashes []string) string {
	h := sha256.New()
	_, _ = io.WriteString(h, "millwright dataset 1\n"+schema+"\n")
	lines := make([]byte, 0, 65*64)
	for i, x := range hashes {
		lines = append(append(lines, x...), '\n')
		if i%64 == 63 {
			_, _ = h.Write(lines)
			lines = lines[:0]
		}
	}
	_, _ = h.Write(lines)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
