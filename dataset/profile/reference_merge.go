package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Merge adds the counts of o, which is left as it is: references of parts of
// the rows become that of all of them, exactly in all counters. A part that
// only one of the two knows (outcomes, chunks, slices) stays out where its sum
// would be of some of the rows only, except for slices, which are added up. It
// returns ErrInvalid, with r unchanged, when the layouts differ.
func (r *Reference) Merge(o *Reference) error {
	return r.combine("merge", o, (*Bins).Merge)
}

// Sub takes away the counts of o, which must be part of what r has counted: r
// merged with o and less o is r again, exactly in all counters, and up to
// rounding in sums. The range seen (Min and Max) cannot become narrower. It
// returns ErrInvalid, with r unchanged, when o is no part of r or the layouts
// differ.
func (r *Reference) Sub(o *Reference) error {
	return r.combine("subtract", o, (*Bins).Sub)
}

// combine works on a copy, so that a failure on the last feature changes
// nothing.
func (r *Reference) combine(verb string, o *Reference, bins func(b, o *Bins) error) error {
	if o == nil || len(o.Features) != len(r.Features) || (r.Score == nil) != (o.Score == nil) {
		return fmt.Errorf("profile: %s references: of different models: features differ: %w", verb, ErrInvalid)
	}
	merge := verb == "merge"
	if merge && (r.Rows > maxRows || o.Rows > maxRows-r.Rows) {
		return fmt.Errorf("profile: merge references: more than 2^53 rows together: %w", ErrInvalid)
	}
	if !merge && o.Rows > r.Rows {
		return fmt.Errorf("profile: subtract references: %d rows of %d: %w", o.Rows, r.Rows, ErrInvalid)
	}
	n := r.Clone()
	for i, f := range n.Features {
		if f.Name != o.Features[i].Name || (f.Bins == nil) != (o.Features[i].Bins == nil) {
			return fmt.Errorf("profile: %s references: feature %d is %q in one and %q in the other: %w", verb, i, f.Name, o.Features[i].Name, ErrInvalid)
		}
		if f.Bins == nil {
			continue
		}
		if err := bins(f.Bins, o.Features[i].Bins); err != nil {
			return fmt.Errorf("profile: %s references: feature %q: %w", verb, f.Name, err)
		}
	}
	if n.Score != nil {
		if err := bins(n.Score, o.Score); err != nil {
			return fmt.Errorf("profile: %s references: score: %w", verb, err)
		}
	}
	if merge {
		n.Rows += o.Rows
	} else {
		n.Rows -= o.Rows
	}
	if !n.Outcomes.combine(o.Outcomes, merge) {
		n.Outcomes = nil
	}
	if !n.Chunks.combine(o.Chunks, merge) {
		n.Chunks = nil
	}
	for _, s := range o.Slices {
		part := n.Slice(s.By, s.Value)
		if part == nil {
			part = s.Part.Empty()
			n.Slices = append(n.Slices, Slice{s.By, s.Value, part})
		}
		if err := part.combine(verb, s.Part, bins); err != nil {
			return err
		}
	}
	sortSlices(n.Slices)
	*r = *n
	return nil
}

// Clone returns a copy that shares nothing but the layouts, which never change.
func (r *Reference) Clone() *Reference {
	c := *r
	c.Features = make([]Feature, len(r.Features))
	for i, f := range r.Features {
		c.Features[i] = Feature{f.Name, f.Bins.clone()}
	}
	c.Score = r.Score.clone()
	c.Outcomes, c.Chunks = r.Outcomes.clone(), r.Chunks.clone()
	c.Slices = nil
	for _, s := range r.Slices {
		c.Slices = append(c.Slices, Slice{s.By, s.Value, s.Part.Clone()})
	}
	return &c
}

func (b *Bins) clone() *Bins {
	if b == nil {
		return nil
	}
	c := *b
	c.Counts = append([]uint64(nil), b.Counts...)
	return &c
}

// Digest is a SHA-256 of the reference's JSON in hexadecimal. Equal references
// have equal digests on every machine.
func (r *Reference) Digest() (string, error) {
	data, err := r.MarshalJSON()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// LayoutDigest is a SHA-256 of what the reference counts, without the counts:
// windows of references with equal layout digests can be added up.
func (r *Reference) LayoutDigest() (string, error) {
	bare := r.Window()
	bare.Dataset, bare.Split, bare.Library = "", "", ""
	return bare.Digest()
}
