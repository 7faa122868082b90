package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Kind says what an Entry of the audit log tells.
type Kind string

// The kinds of entries. Those up to KindRollback move an alias.
const (
	KindAlias     Kind = "alias"     // SetAlias, DeleteAlias, or the deletion of its version
	KindPromotion Kind = "promotion" // Promote, all gates passed
	KindRollback  Kind = "rollback"
	KindRefusal   Kind = "refusal" // Promote, a gate failed; nothing moved
	KindStage     Kind = "stage"
	KindDelete    Kind = "delete" // of a version (To), or a model (To 0)
	KindRestore   Kind = "restore"
	KindRename    Kind = "rename" // Name is the new name, Evidence tells the old one: RenamedFrom
	KindPurge     Kind = "purge"
	KindApproval  Kind = "approval" // Approve: someone vouches for version To
)

// Moves reports whether an entry of the kind moves an alias.
func (k Kind) Moves() bool {
	return k == KindAlias || k == KindPromotion || k == KindRollback
}

// Entry is one line of the audit log. The log is append-only, and every entry
// carries the hash of the one before it: whoever changes, removes or inserts
// one breaks the chain, see [Registry.VerifyAudit].
type Entry struct {
	// Seq counts from 1 through the whole store, without gaps.
	Seq  int64 `json:"seq"`
	Kind Kind  `json:"kind"`
	// Time is when it happened, UTC, to the microsecond.
	Time time.Time `json:"time"`
	// Name is the model, Alias its alias, where the entry is about one.
	Name  string `json:"name"`
	Alias string `json:"alias,omitempty"`
	// From and To are versions; 0 stands for none: From 0 created the alias,
	// To 0 deleted it. An entry about a single version has it in To.
	From int `json:"from"`
	To   int `json:"to"`
	// By, Reason and Evidence are what the caller stated; a promotion's
	// Evidence is its gates with their numbers.
	By       string          `json:"by,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Evidence json.RawMessage `json:"evidence,omitempty"`
	// Prev is the Hash of the entry before, empty for the first. Hash is the
	// SHA-256, in hex, over the fields above and Prev, see Seal.
	Prev string `json:"prev,omitempty"`
	Hash string `json:"hash"`
}

// Seal returns e as the entry that follows prev, which is the zero Entry at the
// beginning: with Seq, Prev and Hash set. Stores call it in the transaction
// that appends e.
//
// The hash covers the fields in the order of their declaration. A text is its
// length in bytes as 8 bytes, big-endian, and its bytes; a number is 8 bytes,
// big-endian; the time is its microseconds since 1970.
func (e Entry) Seal(prev Entry) Entry {
	e.Seq, e.Prev = prev.Seq+1, prev.Hash
	buf := make([]byte, 0, 256+len(e.Evidence)+len(e.Reason))
	number := func(n int64) { buf = binary.BigEndian.AppendUint64(buf, uint64(n)) }
	text := func(s string) {
		number(int64(len(s)))
		buf = append(buf, s...)
	}
	text("millwright-audit 1")
	number(e.Seq)
	text(string(e.Kind))
	number(e.Time.UnixMicro())
	text(e.Name)
	text(e.Alias)
	number(int64(e.From))
	number(int64(e.To))
	text(e.By)
	text(e.Reason)
	text(string(e.Evidence))
	text(e.Prev)
	sum := sha256.Sum256(buf)
	e.Hash = hex.EncodeToString(sum[:])
	return e
}

// AuditQuery selects entries of the audit log.
type AuditQuery struct {
	Name  string // exact; empty selects all
	Alias string // exact; empty selects all
	Kind  Kind   // empty selects all
	To    int    // version; 0 selects all
	// From is the Seq to start at, included; 0 is the beginning, or with
	// Backward the end.
	From     int64
	Backward bool // latest first
	Limit    int  // at least 1
}

// AuditHead identifies the end of an audit log. Kept outside the store, in a
// ticket or a signed commit, it proves later that nothing up to it was taken
// away or changed.
type AuditHead struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// AuditError reports a broken audit log, or a store that was changed past it.
// It is an ErrInvalid.
type AuditError struct {
	// Seq is the first entry that is wrong or missing, or the last one about
	// what is wrong in the store, 0 for none; Cause says how.
	Seq   int64
	Cause string

	beyond bool // the log is whole, the store does not follow it
}

// Error says where the chain breaks.
func (e *AuditError) Error() string {
	if e.beyond {
		return fmt.Sprintf("registry: audit log: entry %d: %s: the store was altered past its log", e.Seq, e.Cause)
	}
	return fmt.Sprintf("registry: audit log: entry %d: %s: the log was altered", e.Seq, e.Cause)
}

// Is reports that the error is an ErrInvalid.
func (e *AuditError) Is(target error) bool { return target == ErrInvalid }
