package dataset

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// commit is what one log entry says about itself: who made it, when and why.
// What it does to the table is in the snapshots.
type commit struct {
	number    int64
	time      time.Time
	producer  string
	message   string
	operation string
	txnID     string
	summary   summary
	fault     error // Why the entry cannot be understood.
}

// summary is Millwright's own part of commitInfo.
type summary struct {
	Format     int               `json:"format"`            // 1.
	Commit     string            `json:"commit,omitempty"`  // Id of the commit: 32 hex digits.
	Digest     string            `json:"digest"`            // Of the version that the commit makes; "" while it holds unadopted files.
	Parent     string            `json:"parent,omitempty"`  // Digest of the version before.
	Parents    []parent          `json:"parents,omitempty"` // The first one is the version before on the same branch.
	Rows       int64             `json:"rows"`              // Of the whole version.
	Record     string            `json:"record,omitempty"`  // Name of the commit record.
	Branch     string            `json:"branch,omitempty"`  // "" is main.
	Line       int64             `json:"line,omitempty"`    // Entry of the refs log that made the branch.
	Deleted    bool              `json:"deleted,omitempty"` // The entry ends the branch.
	Includes   map[string]int64  `json:"includes,omitempty"`
	Author     string            `json:"author,omitempty"`
	Code       Code              `json:"code,omitzero"`
	Run        string            `json:"run,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	App        string            `json:"app,omitempty"`
	AppVersion int64             `json:"appVersion,omitempty"`
	Was        string            `json:"was,omitempty"`      // Digest before an erase of rows.
	Squashed   bool              `json:"squashed,omitempty"` // An erase took the other actions out of the entry.
}

// parent names a commit and where its version is.
type parent struct {
	Commit  string `json:"commit"`
	Log     string `json:"log,omitempty"` // "refs"; "" is main's log.
	Version int64  `json:"version"`
}

// record is the file of a commit: what is too large for the log. It holds
// nothing that depends on the number which the commit gets, so that it is
// written once, however many races the commit loses.
type record struct {
	Format     int               `json:"format"` // 1.
	ID         string            `json:"id"`
	Dataset    string            `json:"dataset"`
	Branch     string            `json:"branch,omitempty"`
	Operation  string            `json:"operation,omitempty"`
	Time       time.Time         `json:"time"`
	Producer   string            `json:"producer"`
	Author     string            `json:"author,omitempty"`
	Code       Code              `json:"code,omitzero"`
	Message    string            `json:"message,omitempty"`
	Run        string            `json:"run,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	App        string            `json:"app,omitempty"`
	AppVersion int64             `json:"appVersion,omitempty"`
	Rows       int64             `json:"rows"`  // Of the files written.
	Files      []File            `json:"files"` // That the commit wrote.
	Profile    json.RawMessage   `json:"profile,omitempty"`
	Validation json.RawMessage   `json:"validation,omitempty"` // The report of the expectations.
	Erases     []string          `json:"erases,omitempty"`     // That took the profile and the report away.
}

var (
	validID     = regexp.MustCompile(`^[0-9a-f]{32}$`)
	validRecord = regexp.MustCompile(`^[0-9a-f]{32}(-[0-9]{1,19})?$`)
)

// commitOf reads what an entry says about itself.
func commitOf(number int64, e *delta.Entry) *commit {
	c := &commit{number: number}
	info := e.CommitInfo
	if info == nil {
		return c
	}
	c.time, c.producer, c.message = time.UnixMilli(info.Timestamp).UTC(), info.EngineInfo, info.UserMetadata
	c.operation, c.txnID = info.Operation, info.TxnID
	if len(info.Millwright) == 0 {
		return c
	}
	if err := json.Unmarshal(info.Millwright, &c.summary); err != nil {
		c.fault = fmt.Errorf("commitInfo.millwright: %w: %w", err, ErrInvalid)
		return c
	}
	s := &c.summary
	switch {
	case s.Record != "" && !validRecord.MatchString(s.Record):
		c.fault = fmt.Errorf("commitInfo.millwright names the record %q: %w", s.Record, ErrInvalid)
	case s.Commit != "" && !validID.MatchString(s.Commit):
		c.fault = fmt.Errorf("commitInfo.millwright names the commit %q: %w", s.Commit, ErrInvalid)
	case s.Rows < 0:
		c.fault = fmt.Errorf("commitInfo.millwright counts %d rows: %w", s.Rows, ErrInvalid)
	}
	return c
}

// ours tells whether Millwright made the commit.
func (c *commit) ours() bool { return c.summary.Format == 1 }

// id is the name of the commit. Commits of other writers have none of their
// own: they are named by their place.
func (c *commit) id(log string) string {
	switch {
	case c.summary.Commit != "":
		return c.summary.Commit
	case c.ours() && validID.MatchString(c.txnID):
		return c.txnID
	}
	if log == "" {
		log = mainLog
	}
	return fmt.Sprintf("%s:%d", log, c.number)
}
