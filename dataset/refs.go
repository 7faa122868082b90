package dataset

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	tagFolder  = "_mlops/refs/tags/"
	headFolder = "_mlops/refs/heads/"

	// refsTable is the folder of the table whose versions are those of the
	// branches.
	refsTable = "_refs"
	// maxRefBytes bounds the file of a tag or a head.
	maxRefBytes = 64 << 10
)

var (
	digits        = regexp.MustCompile(`^[0-9]+$`)
	foreignCommit = regexp.MustCompile(`^(main|refs):[0-9]+$`)
)

// checkRefName says why a name cannot be a branch or a tag: what Resolve would
// take for something else is none.
func checkRefName(f *errs.Faults, name string) {
	f.Check(validName.MatchString(name), "a name has 1 to 128 letters, digits, '.', '_' or '-' and starts with a letter or digit")
	f.Check(!digits.MatchString(name), "a name of digits alone means a version")
	f.Check(!validID.MatchString(name), "the name has the form of a commit id")
	f.Check(!strings.EqualFold(name, mainLog), "%q is the branch that every dataset has", mainLog)
}

// refOf names a version as Resolve understands it.
func refOf(v *Version) string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s@%d", v.Branch, v.Number)
}

// tableOf is the table of a version, relative to the dataset's folder.
func tableOf(v *Version) string { return strings.TrimSuffix(v.log.root, "/") }

// checkText checks what people wrote.
func checkText(f *errs.Faults, what, s string, limit int) {
	f.Check(len(s) <= limit, "%s is %d bytes long, want at most %d", what, len(s), limit)
	f.Check(utf8.ValidString(s), "%s is not UTF-8", what)
}
