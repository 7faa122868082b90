package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// VerifyAudit reads the whole audit log and checks its chain of hashes: that
// every entry hashes to its Hash, names the one before, and none is missing.
// Then it compares the store with what the log tells: every alias is where its
// last entry put it, a version that was approved or judged by gates has the
// files that it had then, what is deleted was deleted by an entry, and every model's
// history has all its entries. It returns the end of the log. Entries cut off
// at the end leave a chain that is whole in itself: pass the heads of earlier
// calls as known to notice. Others may write meanwhile.
//
// Errors: *AuditError, or that of reading.
func (r *Registry) VerifyAudit(ctx context.Context, known ...AuditHead) (AuditHead, error) {
	a := auditor{store: r.store, known: make(map[int64]string, len(known)), models: []*audited{nil}}
	for _, k := range known {
		a.known[k.Seq] = k.Hash
	}
	head, err := a.run(ctx, known)
	if _, altered := errors.AsType[*AuditError](err); err != nil && !altered {
		err = fmt.Errorf("registry: verify the audit log: %w", err)
	}
	return head, err
}

// auditor replays an audit log.
type auditor struct {
	store  Store
	known  map[int64]string
	prev   Entry
	ids    identities
	models []*audited // by identity
}

// audited is what the log tells of one model.
type audited struct {
	name    string
	seqs    []int64 // of its entries
	deleted bool
	aliases map[string]place
	judged  map[int]place // versions, with what they were when they were judged first
}

// place is where an alias is, or a version with its files' digest, by the
// entry seq.
type place struct {
	number int
	seq    int64
	digest string
}

func (a *auditor) run(ctx context.Context, known []AuditHead) (AuditHead, error) {
	if _, err := a.advance(ctx); err != nil {
		return AuditHead{}, err
	}
	for _, k := range known {
		if k.Seq > a.prev.Seq {
			return AuditHead{}, &AuditError{Seq: a.prev.Seq + 1, Cause: fmt.Sprintf("it is missing, entry %d was known", k.Seq)}
		}
	}
	seen := map[string]bool{}
	q := ModelQuery{View: All, Page: Page{Max: recordPage}}
	for {
		page, next, err := a.store.SearchModels(ctx, q)
		if err != nil {
			return AuditHead{}, err
		}
		for _, m := range page {
			seen[m.Name] = true
			if err := a.check(ctx, func() (*AuditError, error) { return a.model(ctx, m.Name) }); err != nil {
				return AuditHead{}, err
			}
		}
		if q.Page.Token = next; next == "" {
			break
		}
	}
	names := map[string]bool{} // of the purged, too
	for _, m := range a.models[1:] {
		names[m.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !seen[name] {
			if err := a.check(ctx, func() (*AuditError, error) { return a.model(ctx, name) }); err != nil {
				return AuditHead{}, err
			}
		}
		if err := a.check(ctx, func() (*AuditError, error) { return a.history(ctx, name) }); err != nil {
			return AuditHead{}, err
		}
	}
	return AuditHead{Seq: a.prev.Seq, Hash: a.prev.Hash}, nil
}

// check asks until the answer holds for one state of the log: a fault that was
// found while others wrote may be their doing.
func (a *auditor) check(ctx context.Context, ask func() (*AuditError, error)) error {
	for {
		fault, err := ask()
		if err != nil || fault == nil {
			return err
		}
		switch n, err := a.advance(ctx); {
		case err != nil:
			return err
		case n == 0:
			return fault
		}
	}
}

// advance reads on to the end of the log, and returns how many entries it read.
func (a *auditor) advance(ctx context.Context) (n int, err error) {
	for {
		page, err := a.store.Audit(ctx, AuditQuery{From: a.prev.Seq + 1, Limit: recordPage})
		if err != nil {
			return n, err
		}
		for _, e := range page {
			want := e.Seal(a.prev)
			switch {
			case e.Seq != want.Seq:
				return n, &AuditError{Seq: want.Seq, Cause: fmt.Sprintf("it is missing, the next is %d", e.Seq)}
			case e.Prev != want.Prev:
				return n, &AuditError{Seq: e.Seq, Cause: "it does not follow the entry before"}
			case e.Hash != want.Hash:
				return n, &AuditError{Seq: e.Seq, Cause: "its content does not match its hash"}
			}
			if hash, ok := a.known[e.Seq]; ok && hash != e.Hash {
				return n, &AuditError{Seq: e.Seq, Cause: "it is not the entry that was known"}
			}
			a.replay(e)
			e.Evidence = nil
			a.prev = e
		}
		if n += len(page); len(page) < recordPage {
			return n, nil
		}
	}
}

func (a *auditor) replay(e Entry) {
	id := a.ids.of(e)
	if id == len(a.models) {
		a.models = append(a.models, &audited{aliases: map[string]place{}, judged: map[int]place{}})
	}
	m := a.models[id]
	m.name, m.seqs = e.Name, append(m.seqs, e.Seq)
	switch {
	case e.Kind.Moves() && e.To == 0:
		delete(m.aliases, e.Alias)
	case e.Kind.Moves():
		m.aliases[e.Alias] = place{number: e.To, seq: e.Seq}
	case e.Kind == KindPurge:
		delete(m.judged, e.To)
	case e.Kind == KindDelete && e.To == 0:
		m.deleted = true
	case e.Kind == KindRestore && e.To == 0:
		m.deleted = false
	}
	if e.Kind == KindPromotion || e.Kind == KindRefusal || e.Kind == KindApproval {
		var what struct {
			Digest string `json:"digest"`
		}
		_, known := m.judged[e.To]
		if !known && json.Unmarshal(e.Evidence, &what) == nil && what.Digest != "" {
			m.judged[e.To] = place{number: e.To, seq: e.Seq, digest: what.Digest}
		}
	}
}

// model compares the model that has the name with the log.
func (a *auditor) model(ctx context.Context, name string) (*AuditError, error) {
	page, _, err := a.store.SearchModels(ctx, ModelQuery{Name: name, View: All, Page: Page{Max: 1}})
	if err != nil {
		return nil, err
	}
	told, inLog := &audited{}, false
	if id, ok := a.ids.live[name]; ok {
		told, inLog = a.models[id], true
	}
	var last int64
	if len(told.seqs) > 0 {
		last = told.seqs[len(told.seqs)-1]
	}
	switch {
	case len(page) == 0 && inLog:
		return &AuditError{Seq: last, Cause: fmt.Sprintf("model %q, which it is about, is gone", name), beyond: true}, nil
	case len(page) == 0:
		return nil, nil
	case page[0].Deleted != told.deleted:
		return &AuditError{Seq: last, Cause: fmt.Sprintf("model %q was deleted or restored since", name), beyond: true}, nil
	case page[0].Deleted:
		return nil, nil // its aliases are out of reach until it is restored
	}
	have := map[string]int{}
	for after := ""; ; {
		list, err := a.store.Aliases(ctx, name, "", after, recordPage)
		if err != nil {
			return nil, err
		}
		for _, al := range list {
			have[al.Alias], after = al.Number, al.Alias
		}
		if len(list) < recordPage {
			break
		}
	}
	for _, alias := range slices.Sorted(maps.Keys(have)) {
		p, n := told.aliases[alias], have[alias]
		if p.number != n {
			return &AuditError{Seq: p.seq, Cause: fmt.Sprintf("alias %q of %q is at v%d, the log says %s", alias, name, n, at(p.number)), beyond: true}, nil
		}
	}
	for _, alias := range slices.Sorted(maps.Keys(told.aliases)) {
		if _, ok := have[alias]; !ok {
			p := told.aliases[alias]
			return &AuditError{Seq: p.seq, Cause: fmt.Sprintf("alias %q of %q is gone, the log says %s", alias, name, at(p.number)), beyond: true}, nil
		}
	}
	for _, n := range slices.Sorted(maps.Keys(told.judged)) {
		p := told.judged[n]
		v, err := a.store.Version(ctx, name, n)
		switch {
		case errors.Is(err, ErrNotFound):
			return &AuditError{Seq: p.seq, Cause: fmt.Sprintf("v%d of %q, which it is about, is gone", n, name), beyond: true}, nil
		case err != nil:
			return nil, err
		case v.Digest != p.digest:
			return &AuditError{Seq: p.seq, Cause: fmt.Sprintf("v%d of %q has other files than those that were judged", n, name), beyond: true}, nil
		}
	}
	return nil, nil
}

func at(number int) string {
	if number == 0 {
		return "there is none"
	}
	return fmt.Sprintf("v%d", number)
}

// history makes sure that the store finds all entries under the name, and no
// others.
func (a *auditor) history(ctx context.Context, name string) (*AuditError, error) {
	var want []int64
	for _, m := range a.models[1:] {
		if m.name == name {
			want = append(want, m.seqs...)
		}
	}
	slices.Sort(want)
	for from := int64(1); ; {
		page, err := a.store.Audit(ctx, AuditQuery{Name: name, From: from, Limit: recordPage})
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			switch {
			case e.Seq > a.prev.Seq: // newer than what was replayed
			case len(want) == 0 || e.Seq < want[0]:
				return &AuditError{Seq: e.Seq, Cause: fmt.Sprintf("it appears in the history of %q, which it is not about", name), beyond: true}, nil
			case e.Seq > want[0]:
				return &AuditError{Seq: want[0], Cause: fmt.Sprintf("it is missing in the history of %q", name), beyond: true}, nil
			default:
				want = want[1:]
			}
			from = e.Seq + 1
		}
		if len(page) < recordPage {
			break
		}
	}
	if len(want) > 0 {
		return &AuditError{Seq: want[0], Cause: fmt.Sprintf("it is missing in the history of %q", name), beyond: true}, nil
	}
	return nil, nil
}
