package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	eraseFolder = "_mlops/erase/"
	eraseActive = eraseFolder + "active.json"

	// maxJournalBytes bounds the journal of an erase.
	maxJournalBytes = 256 << 20
)

// EraseOptions describe an erase of rows.
type EraseOptions struct {
	// By is the person or service that is responsible, and Reason says why, for
	// instance the number of a request. They stand in the certificate. At most 250
	// and 8000 bytes; the default is none.
	By     string
	Reason string
	// RecordPredicate puts the condition itself into the certificate. It often
	// holds what is to be forgotten, so the default is a salted SHA-256 of it.
	RecordPredicate bool
	// Resume goes on with an erase that was broken off, in this process or in any
	// other, once that is gone: also on another machine. It takes the same
	// condition, or the empty one, as all that is needed is in the journal. One
	// that had not found its rows yet, and so has changed nothing, is withdrawn by
	// the empty condition, which is an ErrNotFound, and repeated by another. The
	// default is to report an erase that was broken off.
	Resume bool
	// Progress, when set, is called after every step, on the calling goroutine.
	Progress func(EraseProgress)
}

// EraseProgress is how far an erase has come.
type EraseProgress struct {
	Phase string // "scan", "rewrite", "delete" or "check".
	Done  int64  // Of the files of all versions, the log entries, or the deleted files.
	Total int64
}

// Certificate says what an erase did. It is kept as _mlops/erase/<id>.json.
type Certificate struct {
	ID      string    `json:"id"`
	Dataset string    `json:"dataset"`
	Time    time.Time `json:"time"` // When it was complete.
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	// PredicateSHA256 is the SHA-256, in hex, of Salt and the text of the
	// condition. Predicate is its text, when that was asked for.
	PredicateSHA256 string `json:"predicateSHA256"`
	Salt            string `json:"salt"`
	Predicate       string `json:"predicate,omitempty"`
	// Rows is how many stored rows were erased: each once, however many versions
	// showed it.
	Rows int64 `json:"rows"`
	// Files were deleted, and written anew without the rows.
	Files []ErasedFile `json:"files"`
	// Versions have other content, and so another digest, than before.
	Versions []ErasedVersion `json:"versions"`
	// Tags and Records (of commits) were rewritten, Exports (Iceberg tables) were
	// deleted: export the versions again.
	Tags    []string `json:"tags,omitempty"`
	Records []string `json:"records,omitempty"`
	Exports []string `json:"exports,omitempty"`
}

// ErasedFile is a file that held erased rows.
type ErasedFile struct {
	Path     string   `json:"path"`
	Rows     int64    `json:"rows"`               // Erased.
	Replaced []string `json:"replaced,omitempty"` // The files that took its place.
}

// ErasedVersion is a version that showed erased rows.
type ErasedVersion struct {
	Table  string `json:"table"` // As in Tag: "" or "_refs".
	Number int64  `json:"version"`
	Before string `json:"before"` // Digest; "" when it had none.
	After  string `json:"after"`
	Rows   int64  `json:"rows"` // Erased.
}

// eraseJournal is the state of an erase, and at its end the certificate.
type eraseJournal struct {
	Format  int          `json:"format"` // 1.
	Phase   string       `json:"phase"`  // "planned" or "done".
	Planned []erasedPlan `json:"planned,omitempty"`
	Certificate
}

// erasedPlan is a file that is replaced.
type erasedPlan struct {
	Path string       `json:"path"`
	Rows int64        `json:"rows"`
	New  []erasedFile `json:"new"`
}

// gone says that the file was gone before, and only its statistics go.
func (p *erasedPlan) gone() bool { return len(p.New) == 1 && p.New[0].Path == p.Path }

type erasedFile struct {
	File
	Stats string            `json:"stats"`
	Tags  map[string]string `json:"tags"`
}

// Erase takes the rows that match out of every version of every branch, for a
// person's right to be forgotten. Version numbers, tags and branches stay as
// they are and readable, also by other engines; versions that showed such a row
// get another digest, which the certificate names. Zero rows make a certificate
// too. Rows for which the condition is null stay, as in SQL.
//
// The files that hold such rows are written anew and deleted. The entries and
// the checkpoints of both logs, with the statistics in them, are rewritten to
// name the new ones. Profiles, validation reports and predicates that the
// commits left are dropped where they can show an erased value; Iceberg exports
// of changed versions are deleted.
//
// While it works, the versions can be read, before or after; writers get an
// *EraseError. It can be broken off at any point, also by kill -9, and any process
// can end it: see EraseOptions.Resume. Other processes must ask for the versions
// that they hold again.
//
// What Erase does not reach: commit messages, tags and table properties that
// people wrote; files that a writer stores while Erase works and then cannot
// commit, which Collect deletes; copies elsewhere, such as caches and backups;
// and the older object versions of a bucket with versioning, of the data files
// as of the rewritten logs: end those by a lifecycle rule.
func (d *Dataset) Erase(ctx context.Context, where filter.Expr, opts *EraseOptions) (*Certificate, error) {
	if opts == nil {
		opts = &EraseOptions{}
	}
	subject := fmt.Sprintf("dataset: erase from %q", d.name)
	var f errs.Faults
	f.Check(!where.IsZero() || opts.Resume, "the condition is empty, which would erase every row")
	checkText(&f, "by", opts.By, maxKey)
	checkText(&f, "reason", opts.Reason, maxMessage)
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	// A handle of its own: it must not rely on what others remember.
	e := &eraser{d: d.catalog.dataset(d.name), where: where, opts: opts}
	c, err := e.run(ctx)
	d.log.forget()
	d.refs.forget()
	d.forgetCondemned()
	if busy := (*EraseError)(nil); errors.As(err, &busy) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	return c, nil
}

// eraser is one call of Erase.
type eraser struct {
	d     *Dataset
	where filter.Expr
	opts  *EraseOptions
	j     *eraseJournal
	plan  map[string]*erasedPlan // By the path of the old file.
	fresh map[string]bool        // Paths of the new files.
	moved map[versionAt]ErasedVersion
}

// versionAt is where a version is.
type versionAt struct {
	table  string
	number int64
}

func eraseKey(id string) string { return eraseFolder + id + ".json" }

func (e *eraser) run(ctx context.Context) (*Certificate, error) {
	if _, err := e.d.log.latest(ctx); err != nil {
		return nil, err
	}
	if err := e.begin(ctx); err != nil {
		return nil, err
	}
	if e.j.Phase == "" {
		if err := e.prepare(ctx); err != nil {
			return nil, err
		}
	}
	e.index()
	if e.j.Phase == "planned" {
		if err := e.apply(ctx); err != nil {
			return nil, err
		}
		e.j.Phase, e.j.Time = "done", time.Now().UTC().Truncate(time.Millisecond)
		for _, p := range e.j.Planned {
			if p.gone() {
				continue
			}
			f := ErasedFile{Path: p.Path, Rows: p.Rows}
			for _, n := range p.New {
				f.Replaced = append(f.Replaced, n.Path)
			}
			e.j.Files = append(e.j.Files, f)
		}
		e.j.Planned = nil
		if err := e.save(ctx); err != nil {
			return nil, err
		}
	}
	return &e.j.Certificate, e.end(ctx)
}

// end lets the writers in again. Another process may have resumed this erase and
// be done with it, so that the fence is that of a later one.
func (e *eraser) end(ctx context.Context) error {
	id, err := e.active(ctx)
	if err != nil || id != e.j.ID {
		return err
	}
	if err := e.fences(ctx, false); err != nil {
		return err
	}
	return retry(ctx, func() error { return e.d.store.Delete(ctx, eraseActive) })
}

// activeErase is the file of the erase that is under way.
type activeErase struct {
	ID string `json:"id"`
}

// active is the id of the erase that is under way, "" when there is none.
func (e *eraser) active(ctx context.Context) (string, error) {
	data, err := blob.ReadAll(ctx, e.d.store, eraseActive, maxRefBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var a activeErase
	if err := json.Unmarshal(data, &a); err != nil || !validID.MatchString(a.ID) {
		return "", fmt.Errorf("%s is damaged: %w", eraseActive, errors.Join(err, ErrInvalid))
	}
	return a.ID, nil
}

// begin takes the place of the one erase that may run, or of one that was broken
// off.
func (e *eraser) begin(ctx context.Context) error {
	id := newID()
	if e.where.IsZero() {
		id = "" // There must be one.
	} else {
		body, err := json.Marshal(activeErase{id})
		if err != nil {
			return err
		}
		err = e.d.createOwned(ctx, eraseActive, body, id)
		switch {
		case errors.Is(err, fs.ErrExist):
			id = ""
		case err != nil:
			return err
		}
	}
	if id == "" {
		var err error
		switch id, err = e.active(ctx); {
		case err != nil:
			return err
		case id == "":
			return fmt.Errorf("no erase was broken off, or it has just ended: %w", ErrNotFound)
		case !e.opts.Resume:
			return &EraseError{Dataset: e.d.name, ID: id}
		}
	}
	data, err := blob.ReadAll(ctx, e.d.store, eraseKey(id), maxJournalBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Nothing was changed yet.
		if e.where.IsZero() {
			e.j = &eraseJournal{Certificate: Certificate{ID: id}}
			if err := e.end(ctx); err != nil {
				return err
			}
			return fmt.Errorf("the erase %s that was broken off had changed nothing yet and is withdrawn: call Erase with its condition: %w", id, ErrNotFound)
		}
		salt := newID()
		e.j = &eraseJournal{Format: 1, Certificate: Certificate{
			ID: id, Dataset: e.d.name, By: e.opts.By, Reason: e.opts.Reason, Salt: salt, PredicateSHA256: e.hash(salt),
		}}
		if e.opts.RecordPredicate {
			e.j.Predicate = e.where.String()
		}
		return nil
	case err != nil:
		return err
	}
	j := &eraseJournal{}
	if err := json.Unmarshal(data, j); err != nil || j.Format != 1 || j.ID != id || j.Phase != "planned" && j.Phase != "done" {
		return fmt.Errorf("the journal %s is damaged: %w", eraseKey(id), errors.Join(err, ErrInvalid))
	}
	if !e.where.IsZero() && j.PredicateSHA256 != e.hash(j.Salt) {
		return fmt.Errorf("the erase %s that was broken off had another condition: %w", id, ErrConflict)
	}
	e.j = j
	return nil
}

func (e *eraser) hash(salt string) string {
	sum := sha256.Sum256([]byte(salt + e.where.String()))
	return hex.EncodeToString(sum[:])
}

func (e *eraser) save(ctx context.Context) error {
	body, err := e.body()
	if err != nil {
		return err
	}
	return e.d.put(ctx, eraseKey(e.j.ID), body)
}

func (e *eraser) body() ([]byte, error) {
	body, err := json.MarshalIndent(e.j, "", " ")
	if err == nil && len(body) > maxJournalBytes {
		err = fmt.Errorf("the journal would be %d bytes, want at most %d: collect versions first: %w", len(body), maxJournalBytes, ErrUnsupported)
	}
	return body, err
}

// publish says what is to be done. There is one plan for an erase: of two
// processes that resume it, one is the first, and the other stops.
func (e *eraser) publish(ctx context.Context) error {
	e.j.Phase = "planned"
	body, err := e.body()
	if err != nil {
		return err
	}
	key := eraseKey(e.j.ID)
	err = retry(ctx, func() error {
		err := e.d.store.Create(ctx, key, bytes.NewReader(body), int64(len(body)))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		there, err := blob.ReadAll(ctx, e.d.store, key, maxJournalBytes)
		if err == nil && !bytes.Equal(there, body) {
			err = &EraseError{Dataset: e.d.name, ID: e.j.ID}
		}
		return err
	})
	return err
}

// index finds what the journal says by path and by version.
func (e *eraser) index() {
	e.plan, e.fresh, e.moved = map[string]*erasedPlan{}, map[string]bool{}, map[versionAt]ErasedVersion{}
	for i := range e.j.Planned {
		p := &e.j.Planned[i]
		e.plan[p.Path] = p
		for _, f := range p.New {
			e.fresh[f.Path] = true
		}
	}
	for _, v := range e.j.Versions {
		e.moved[versionAt{v.Table, v.Number}] = v
	}
}

// fences puts the fence up in both logs, or takes it down.
func (e *eraser) fences(ctx context.Context, up bool) error {
	for _, l := range e.logs() {
		err := e.fence(ctx, l, up)
		if err != nil && (up || l != e.d.refs || !notThere(err)) {
			return err
		}
	}
	return nil
}

func (e *eraser) logs() []*logbook { return []*logbook{e.d.log, e.d.refs} }

func (e *eraser) progress(phase string, done, total int) {
	if e.opts.Progress != nil {
		e.opts.Progress(EraseProgress{phase, int64(done), int64(total)})
	}
}

// prepare writes the new files, and the journal that says what replaces what.
// Before the journal is there, nothing that others see has changed.
func (e *eraser) prepare(ctx context.Context) error {
	if err := e.fences(ctx, true); err != nil {
		return err
	}
	if err := e.scan(ctx); err != nil {
		return err
	}
	return e.publish(ctx)
}

// apply does what the journal says. Every step may be repeated.
func (e *eraser) apply(ctx context.Context) error {
	if err := e.fences(ctx, true); err != nil {
		return err
	}
	if len(e.plan) == 0 {
		return nil
	}
	list := &gcList{Format: 1, ID: e.j.ID, Time: time.Now().UTC(), Erase: true}
	for _, p := range e.j.Planned {
		if !p.gone() {
			list.Objects = append(list.Objects, p.Path)
		}
	}
	if err := e.d.writeList(ctx, list); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{e.entries(false), e.entries(true), e.checkpoints, e.records, e.tags, e.heads, e.exported, e.deletes, e.check} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// putIfChanged replaces an object.
func (e *eraser) putIfChanged(ctx context.Context, key string, before, after []byte) error {
	if bytes.Equal(before, after) {
		return nil
	}
	return e.d.put(ctx, key, after)
}
