package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/internal/blocksum"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// coalesceGap is how many bytes that nobody wants are fetched to save a request.
const coalesceGap = 1 << 20

// loaded is a run in memory, checked.
type loaded struct {
	file    *pqfile.File
	from    *dataFile
	parts   []pqfile.Segment
	columns []int // Position in the file of each column of the plan, -1 when it is not there.
	groups  []wantedGroup
	trusted bool
}

// wantedGroup is a row group that may have matching rows.
type wantedGroup struct {
	index int
	rows  *filter.Mask // Which of its rows may match; nil: all.
	all   bool         // Every row matches.
}

// own tells whether this package wrote the file.
func (f *dataFile) own() bool { return f.tags[tagTail] != "" }

// skipsFile tells whether no row of the file can match.
func (p *readPlan) skipsFile(f *dataFile) bool {
	return p.bound != nil && !p.except && f.fault == nil && p.bound.PruneJSON(f.stats, f.own()) == filter.None
}

// cost is about how many bytes of the run are in memory at once.
func (p *readPlan) cost(r run) int64 {
	rows, ok := parseGroups(r.file.tags[tagGroups], r.file.Rows)
	if !ok || p.wholeFile(r, len(rows)) || len(rows) == 0 {
		return r.file.Size
	}
	n := len(r.groups)
	if r.groups == nil {
		n = len(rows)
	}
	return r.file.Size * int64(n) / int64(len(rows))
}

// wholeFile tells whether all bytes of the file are wanted, or must be fetched
// to check one.
func (p *readPlan) wholeFile(r run, groups int) bool {
	return !r.file.own() || p.all && p.bound == nil && (r.groups == nil || len(r.groups) == groups)
}

// load fetches and checks what the plan wants of a run.
func (p *readPlan) load(ctx context.Context, r run) (*loaded, error) {
	d, f := p.v.dataset, r.file
	if f.fault != nil {
		return nil, fmt.Errorf("file %s: %w", f.Path, f.fault)
	}
	out := &loaded{from: f, trusted: f.own()}
	rows, _ := parseGroups(f.tags[tagGroups], f.Rows)
	whole := p.wholeFile(r, len(rows))
	var err error
	if whole {
		var body []byte
		if out.file, body, err = d.openWhole(ctx, f); err == nil {
			out.parts = []pqfile.Segment{{Off: 0, Data: body}}
		}
	} else {
		out.file, err = d.openTail(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	if out.file.NumRows() != f.Rows {
		return nil, fmt.Errorf("file %s: the log promises %d rows, the file has %d: %w", f.Path, f.Rows, out.file.NumRows(), ErrInvalid)
	}
	if out.columns, err = p.columns(out.file); err != nil {
		return nil, fmt.Errorf("file %s: %w", f.Path, err)
	}
	groups := r.groups
	if groups == nil {
		for g := range out.file.Groups() {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		if g >= out.file.Groups() {
			return nil, fmt.Errorf("file %s has %d row groups, number %d was asked for: %w", f.Path, out.file.Groups(), g, ErrInvalid)
		}
		if w, ok := p.prune(out, g); ok {
			out.groups = append(out.groups, w)
		}
	}
	if whole {
		return out, nil
	}
	return out, d.fetchChunks(ctx, out)
}

// fetchChunks gets the column chunks of the wanted row groups in few requests,
// and checks each.
func (d *Dataset) fetchChunks(ctx context.Context, l *loaded) error {
	var columns []int
	for _, c := range l.columns {
		if c >= 0 {
			columns = append(columns, c)
		}
	}
	var chunks []pqfile.Chunk
	for _, g := range l.groups {
		chunks = append(chunks, l.file.Chunks(g.index, columns)...)
	}
	slices.SortFunc(chunks, func(a, b pqfile.Chunk) int { return int(min(max(a.Off-b.Off, -1), 1)) })
	var spans [][]pqfile.Chunk
	for i, c := range chunks {
		if i > 0 && c.Off-(chunks[i-1].Off+chunks[i-1].Len) <= coalesceGap {
			spans[len(spans)-1] = append(spans[len(spans)-1], c)
			continue
		}
		spans = append(spans, []pqfile.Chunk{c})
	}
	l.parts = make([]pqfile.Segment, len(spans))
	return parallel(ctx, len(spans), func(ctx context.Context, i int) error {
		span := spans[i]
		off, last := span[0].Off, span[len(span)-1]
		body, err := d.fetchRange(ctx, l.from, off, last.Off+last.Len-off)
		if err != nil {
			return err
		}
		parts, sums := make([][]byte, len(span)), make([]blocksum.Digest, len(span))
		for i, c := range span {
			if c.Sum == nil {
				return fmt.Errorf("file %s: its footer has no digest of a column chunk: %w", l.from.Path, ErrInvalid)
			}
			parts[i] = body[c.Off-off : c.Off-off+c.Len]
		}
		blocksum.Sums(sums, parts)
		for i, c := range span {
			if sums[i] != *c.Sum {
				return d.damaged(l.from, fmt.Sprintf("bytes %d to %d", c.Off, c.Off+c.Len), c.Sum[:], sums[i][:])
			}
		}
		l.parts[i] = pqfile.Segment{Off: off, Data: body}
		return nil
	})
}

func (d *Dataset) damaged(f *dataFile, part string, want, have []byte) error {
	return &CorruptError{Dataset: d.name, Path: f.Path, Part: part, Want: hex.EncodeToString(want), Have: hex.EncodeToString(have)}
}

// fetchRange reads n bytes of a file from off on.
func (d *Dataset) fetchRange(ctx context.Context, f *dataFile, off, n int64) ([]byte, error) {
	body := pqfile.Uncleared(int(n))
	err := blob.ReadRange(ctx, d.store, f.Path, off, body, nil)
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, &CorruptError{Dataset: d.name, Path: f.Path, Want: f.SHA256, Err: fs.ErrNotExist}
	case ctx.Err() == nil && (errors.Is(err, fs.ErrInvalid) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)):
		return nil, &CorruptError{Dataset: d.name, Path: f.Path, Want: f.SHA256, Err: fmt.Errorf("it is shorter than the %d bytes that were committed", f.Size)}
	}
	return nil, fmt.Errorf("file %s: %w", f.Path, err)
}

// openTail reads the end of a file of ours, from the memory of the catalog if it
// was read before.
func (d *Dataset) openTail(ctx context.Context, f *dataFile) (*pqfile.File, error) {
	off, want, err := f.tail()
	if err != nil {
		return nil, err
	}
	if file := d.catalog.tails.get(string(want)); file != nil {
		return file, nil
	}
	tail, err := d.fetchRange(ctx, f, off, f.Size-off)
	if err != nil {
		return nil, err
	}
	return d.parseTail(f, tail, off, want)
}

// tail says where the end of a file of ours starts and what its SHA-256 is.
func (f *dataFile) tail() (off int64, sum []byte, err error) {
	text, digits, _ := strings.Cut(f.tags[tagTail], ":")
	off, err = strconv.ParseInt(text, 10, 64)
	sum, hexErr := hex.DecodeString(digits)
	if err != nil || hexErr != nil || len(sum) != sha256.Size || off < 0 || off >= f.Size {
		return 0, nil, fmt.Errorf("file %s: the tag %s is %q: %w", f.Path, tagTail, f.tags[tagTail], ErrInvalid)
	}
	return off, sum, nil
}

// parseTail checks the end of a file and remembers it.
func (d *Dataset) parseTail(f *dataFile, tail []byte, off int64, want []byte) (*pqfile.File, error) {
	if have := sha256.Sum256(tail); string(have[:]) != string(want) {
		return nil, d.damaged(f, fmt.Sprintf("bytes %d to %d", off, f.Size), want, have[:])
	}
	file, err := pqfile.Open(tail, f.Size)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w: %w", f.Path, err, ErrInvalid)
	}
	d.catalog.tails.put(string(want), file, int64(len(tail)))
	return file, nil
}

// openWhole reads and checks a whole file.
func (d *Dataset) openWhole(ctx context.Context, f *dataFile) (*pqfile.File, []byte, error) {
	if file, body := d.openProven(ctx, f); file != nil {
		return file, body, nil
	}
	body, err := d.readFile(ctx, f.File)
	if err != nil {
		return nil, nil, err
	}
	file, err := pqfile.Open(body, int64(len(body)))
	if err != nil {
		return nil, nil, fmt.Errorf("file %s: %w: %w", f.Path, err, ErrInvalid)
	}
	return file, body, nil
}

// openProven reads a whole file of ours and checks its end and every column
// chunk, which is several times faster than the SHA-256 of its name and proves
// the same. It gives up with nil when anything is odd: readFile then finds out
// what.
func (d *Dataset) openProven(ctx context.Context, f *dataFile) (*pqfile.File, []byte) {
	off, want, err := f.tail()
	if err != nil || f.Size > maxFileBytes {
		return nil, nil
	}
	body := d.readExactly(ctx, f.File)
	if body == nil {
		return nil, nil
	}
	file := d.catalog.tails.get(string(want))
	if file == nil {
		// A copy: what is remembered must not keep the whole file.
		if file, err = d.parseTail(f, slices.Clone(body[off:]), off, want); err != nil {
			return nil, nil
		}
	} else if have := sha256.Sum256(body[off:]); string(have[:]) != string(want) {
		return nil, nil
	}
	if !file.Proven(body) {
		return nil, nil
	}
	return file, body
}

// readFile reads a whole data file and checks it, if its digest is known.
func (d *Dataset) readFile(ctx context.Context, f File) ([]byte, error) {
	if body := d.readParts(ctx, f); body != nil {
		return body, nil
	}
	damage := &CorruptError{Dataset: d.name, Path: f.Path, Want: f.SHA256}
	r, err := d.store.Get(ctx, f.Path, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		damage.Err = fs.ErrNotExist
		return nil, damage
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	// What is there may be longer than it should be: it is hashed whole, and
	// kept no further than it can be right.
	body := make([]byte, min(f.Size, maxFileBytes))
	n, err := io.ReadFull(r, body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	h := sha256.New()
	_, _ = h.Write(body[:n])
	if _, err := io.Copy(h, r); err != nil {
		return nil, err
	}
	if damage.Have = hex.EncodeToString(h.Sum(nil)); f.SHA256 != "" && damage.Have != f.SHA256 {
		return nil, damage
	}
	return body[:n], nil
}

// partedBytes is the size from which a file is fetched in several requests.
const partedBytes = 16 << 20

// readParts reads a large file in several requests at a time. It gives up with
// nil when anything is odd: readFile then finds out what.
func (d *Dataset) readParts(ctx context.Context, f File) []byte {
	if f.Size < partedBytes || f.Size > maxFileBytes || f.SHA256 == "" {
		return nil
	}
	body := d.readExactly(ctx, f)
	if body == nil {
		return nil
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil
	}
	return body
}

// readExactly reads a file that has the size that the log promises, a large one
// in several requests at a time; nil when it has not, or on any fault.
func (d *Dataset) readExactly(ctx context.Context, f File) []byte {
	if f.Size >= partedBytes {
		if info, err := d.store.Stat(ctx, f.Path); err != nil || info.Size() != f.Size {
			return nil
		}
		body := pqfile.Uncleared(int(f.Size))
		if err := blob.ReadRange(ctx, d.store, f.Path, 0, body, nil); err != nil {
			return nil
		}
		return body
	}
	r, err := d.store.Get(ctx, f.Path, 0, -1)
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }()
	body := pqfile.Uncleared(int(f.Size))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil
	}
	return body
}
