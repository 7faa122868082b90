package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// gone is what is wrong with an object that is not there.
const gone = "it is gone"

// seenFile is a data file that some version names.
type seenFile struct {
	File
	live [2]lifetime // In main's log and the refs log.
}

// lifetime is from the first version of a log that names a file to the last.
type lifetime struct {
	first, last int64 // last is -1 while the file is live.
	back        int64 // The last version that brought it in.
	is          bool
}

// seen notes that version n of a log brings a file in.
func (v *verifier) seen(f *dataFile, which int, n int64) {
	s := v.files[f.Path]
	if s == nil {
		s = &seenFile{File: f.File}
		v.files[f.Path] = s
	}
	if s.SHA256 == "" && s.Size != f.Size {
		s.File = f.File // A foreign path that was written anew.
	}
	if l := &s.live[which]; !l.is {
		*l = lifetime{first: n, last: -1, is: true}
	} else {
		l.last = -1
	}
	s.live[which].back = n
}

// gone notes that version n of a log takes a file out.
func (v *verifier) gone(p string, which int, n int64) {
	if s := v.files[p]; s != nil && s.live[which].is {
		s.live[which].last = n - 1
	}
}

// versions says in which versions a file is.
func (v *verifier) versions(s *seenFile) string {
	var list []string
	for i, l := range s.live {
		if !l.is {
			continue
		}
		w := v.logs[i]
		last := l.last
		if last < 0 {
			last = w.last
		}
		list = append(list, span(w.tableName(), l.first, last))
	}
	return strings.Join(list, ", ")
}

// tags checks every tag, and notes what their versions need.
func (v *verifier) tags(ctx context.Context) error {
	for info, err := range v.d.store.List(ctx, tagFolder) {
		if err != nil {
			return err
		}
		name, ok := strings.CutSuffix(path.Base(info.Name()), ".json")
		if !ok || tagKey(name) != info.Name() {
			continue // Not one of ours.
		}
		v.report.Tags++
		why, err := v.tag(ctx, name)
		if err != nil {
			return err
		}
		if why != "" {
			v.damaged(Damage{Kind: DamagedTag, Path: info.Name(), Reason: why, Needed: true})
		}
	}
	return nil
}

// tag says what is wrong with a tag; "" when nothing is.
func (v *verifier) tag(ctx context.Context, name string) (why string, err error) {
	t, err := v.d.readTag(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return "", nil // Deleted meanwhile.
	case errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsupported) || errors.Is(err, fs.ErrInvalid):
		return err.Error(), nil
	case err != nil:
		return "", err
	}
	w := v.logs[0]
	if t.Table == refsTable {
		w = v.logs[1]
	}
	if t.Number > w.last {
		return fmt.Sprintf("it names version %d of %s, which ends at %d", t.Number, w.tableName(), w.last), nil
	}
	s, err := w.l.at(ctx, t.Number)
	if err == nil {
		err = s.bad
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return fmt.Sprintf("its version cannot be read: %s", err), nil
	}
	v.need(s)
	if c, err := w.l.commitAt(ctx, t.Number); s.digest() != t.Digest && !(err == nil && c.renamed(t.Digest)) {
		return fmt.Sprintf("its version has digest %s, the tag says %s", s.digest(), t.Digest), nil
	}
	return "", nil
}

// checkFiles looks at every data file.
func (v *verifier) checkFiles(ctx context.Context) error {
	var err error
	v.swept, err = v.d.sweeps(ctx, func(key string, fault error) {
		v.damaged(Damage{Kind: DamagedCollection, Path: key, Reason: fault.Error()})
	})
	if err != nil {
		return err
	}
	paths := slices.Sorted(maps.Keys(v.files))
	var done atomic.Int64
	return parallel(ctx, len(paths), func(ctx context.Context, i int) error {
		f := v.files[paths[i]]
		why, err := v.file(ctx, f)
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.report.Files++
		expired := why == gone && v.expired(f)
		if expired {
			v.report.Expired++
		}
		v.mu.Unlock()
		if why != "" && !expired {
			v.damaged(Damage{Kind: DamagedFile, Path: f.Path, Reason: why, Versions: v.versions(f), Needed: v.needed[f.Path]})
		}
		v.progress("files", done.Add(1), int64(len(paths)))
		return nil
	})
}

// expired tells whether a collection took the file away, and no version brought it
// in again.
func (v *verifier) expired(f *seenFile) bool {
	heads, ok := v.swept[f.Path]
	if !ok || v.needed[f.Path] {
		return false
	}
	for i, l := range f.live {
		if l.is && l.back > heads[i] {
			return false
		}
	}
	return true
}

// file says what is wrong with a data file; "" when nothing is.
func (v *verifier) file(ctx context.Context, f *seenFile) (why string, err error) {
	info, err := v.d.store.Stat(ctx, f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return gone, nil
	case errors.Is(err, fs.ErrInvalid):
		return err.Error(), nil
	case err != nil:
		return "", err
	case info.Size() != f.Size:
		return fmt.Sprintf("it has %d bytes, want %d", info.Size(), f.Size), nil
	case v.opts.Quick || f.SHA256 == "":
		return "", nil
	}
	sum, err := v.hash(ctx, f)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return gone, nil
	case err != nil:
		return "", err
	case sum != f.SHA256:
		return fmt.Sprintf("it has sha256 %s, want that of its name: it was damaged or replaced after it was committed", sum), nil
	}
	return "", nil
}

// hash reads a file in pieces, each of which is asked for again when it breaks
// off.
func (v *verifier) hash(ctx context.Context, f *seenFile) (string, error) {
	h := sha256.New()
	buf, ok := v.buffers.Get().(*[1 << 20]byte)
	if !ok {
		buf = new([1 << 20]byte)
	}
	defer v.buffers.Put(buf)
	for off := int64(0); off < f.Size; {
		n, err := v.some(ctx, f, off, buf[:], h)
		if err != nil {
			return "", err
		}
		off += n
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// some hashes the file from byte off, to its end or as far as its body comes.
func (v *verifier) some(ctx context.Context, f *seenFile, off int64, buf []byte, h io.Writer) (int64, error) {
	var n int64
	var err error
	for attempt := 1; n == 0; attempt++ {
		var r io.ReadCloser
		if r, err = v.d.store.Get(ctx, f.Path, off, f.Size-off); err == nil {
			n, err = io.CopyBuffer(h, struct{ io.Reader }{r}, buf)
			_ = r.Close() // Only read from.
			if n == 0 && err == nil {
				err = io.ErrUnexpectedEOF
			}
		}
		if n == 0 && (attempt == storeAttempts || errors.Is(err, fs.ErrNotExist) || pause(ctx, attempt) != nil) {
			return 0, err
		}
	}
	v.mu.Lock()
	v.report.Bytes += n
	v.mu.Unlock()
	return n, nil
}

// checkRecords looks at every commit record.
func (v *verifier) checkRecords(ctx context.Context) error {
	var done atomic.Int64
	total := int64(len(v.records))
	return parallel(ctx, len(v.records), func(ctx context.Context, i int) error {
		r := v.records[i]
		data, err := blob.ReadAll(ctx, v.d.store, recordKey(r.name), maxRecordBytes)
		var fault error
		if err := unreadable(&fault, err); err != nil {
			return err
		}
		if fault == nil {
			fault = recordFault(data, r.name)
		} else if errors.Is(fault, fs.ErrNotExist) {
			fault = errors.New(gone)
		}
		v.mu.Lock()
		v.report.Records++
		v.mu.Unlock()
		if fault != nil {
			v.damaged(Damage{Kind: DamagedRecord, Path: recordKey(r.name), Reason: fault.Error(), Versions: r.version})
		}
		v.progress("records", done.Add(1), total)
		return nil
	})
}

func recordFault(data []byte, name string) error {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("it is no commit record: %w", err)
	}
	if r.Format != 1 || r.ID != name {
		return fmt.Errorf("it has format %d and id %q, want 1 and its name", r.Format, r.ID)
	}
	if len(r.Profile) > 0 {
		if err := json.Unmarshal(r.Profile, new(profile.Table)); err != nil {
			return fmt.Errorf("its profile cannot be read: %w", err)
		}
	}
	return nil
}
