package dataset

import (
	"fmt"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	maxMessage = 8000
	maxTags    = 100
	maxKey     = 250
)

// CommitOptions describe a commit.
type CommitOptions struct {
	// Message says for people what came in. At most 8000 bytes; the default is
	// none.
	Message string
	// Author is the person or service that is responsible; the default is none.
	Author string
	// Code says which code made the rows; the default is nothing.
	Code Code
	// App and AppVersion make a producer idempotent: of all commits to a branch
	// with the same App and AppVersion one happens, and the others return its
	// version and leave their records unread. AppVersion grows from commit to
	// commit; it is Delta's txn action. The default App "" means that every call
	// commits.
	App        string
	AppVersion int64
	// Key names the columns that tell the rows apart. With it files are cut where
	// the keys say so and not by size, at 32768 rows on average: rows that were
	// stored before, in the same order, make the same files again wherever rows were
	// inserted, changed or deleted among them, and files that the store has are not
	// written twice. Columns of a key that are neither sorted nor repetitive get a
	// Bloom filter. The default is none. Operations that bring no rows ignore it.
	Key []string
	// Tags are kept with the version. At most 100, keys of up to 250 bytes and
	// values of up to 8000; the default is none.
	Tags map[string]string
	// Where limits an Overwrite to the rows that match; the default is all rows.
	// No other operation takes it.
	Where filter.Expr
	// Expect is what the rows shall be, on top of what is expected with the table
	// (see SetExpectations). Rows that fail are refused with a *ValidationError;
	// the report on rows that pass is Version.Validation. A Delete takes those of the
	// whole version, for the rows that are left. The default is nothing. Other
	// operations that bring no rows ignore it.
	Expect []profile.Expectation
	// Run is the id of the tracking run that produced the rows; the default is
	// none.
	Run string
	// NoProfile leaves out the summary of the columns that a commit counts while it
	// writes, about a third of the cost of an append: for a table that is written
	// all the time and seldom asked for its profile, such as a log. The statistics
	// of the files are kept, so that reading leaves out as much. Version.Profile
	// reads the rows of such a commit. Expectations need the summary, which is
	// then counted in any case. Operations that bring no rows ignore it. The
	// default is false.
	NoProfile bool
	// Progress, when set, is called on the writing goroutine after every row
	// group and file.
	Progress func(Progress)
}

// Progress is how far a commit has come with the rows it writes.
type Progress struct {
	Rows  int64 // Rows encoded.
	Files int   // Files stored.
	Bytes int64 // Bytes of those files.
}

func (o *CommitOptions) validate(subject string) error {
	var f errs.Faults
	text := func(what, s string, limit int) {
		f.Check(len(s) <= limit, "%s is %d bytes long, want at most %d", what, len(s), limit)
		f.Check(utf8.ValidString(s), "%s is not UTF-8", what)
	}
	text("message", o.Message, maxMessage)
	text("author", o.Author, maxKey)
	text("code commit", o.Code.Commit, maxKey)
	text("code image", o.Code.Image, maxMessage)
	text("app", o.App, maxKey)
	text("run", o.Run, maxKey)
	f.Check(len(o.Key) <= maxTags, "the key has %d columns, want at most %d", len(o.Key), maxTags)
	f.Check(o.AppVersion >= 0, "app version is %d, want at least 0", o.AppVersion)
	f.Check(o.App != "" || o.AppVersion == 0, "app version %d without an app", o.AppVersion)
	f.Check(len(o.Tags) <= maxTags, "%d tags, want at most %d", len(o.Tags), maxTags)
	for k, v := range o.Tags {
		f.Check(k != "", "a tag has no key")
		text(fmt.Sprintf("tag key %q", k), k, maxKey)
		text(fmt.Sprintf("tag %q", k), v, maxMessage)
	}
	if err := profile.ValidateExpectations(o.Expect); err != nil {
		f.Addf("%v", err)
	}
	return f.Err(subject)
}
