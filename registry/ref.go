package registry

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Ref names a version: by number when Number is not 0, else by Alias.
type Ref struct {
	Name   string
	Number int
	Alias  string
}

// String gives "name/number" or "name@alias".
func (r Ref) String() string {
	if r.Number != 0 {
		return r.Name + "/" + strconv.Itoa(r.Number)
	}
	return r.Name + "@" + r.Alias
}

// ParseRef reads "name/3" or "name@champion"; anything else is an ErrInvalid.
func ParseRef(s string) (Ref, error) {
	var faults errs.Faults
	var ref Ref
	name, num, slash := strings.Cut(s, "/")
	// An alias holds no @, a name may: the last one parts them.
	at := strings.LastIndexByte(s, '@')
	switch {
	case slash:
		n, err := strconv.Atoi(num)
		faults.Check(err == nil && n > 0 && strconv.Itoa(n) == num, "version %q is not a number from 1 up", cut(num))
		ref = Ref{Name: name, Number: n}
	case at >= 0:
		ref = Ref{Name: s[:at], Alias: s[at+1:]}
		checkAlias(&faults, ref.Alias)
	default:
		faults.Addf(`it names no version, want "name/3" or "name@alias"`)
		return Ref{}, faults.Err(fmt.Sprintf("registry: reference %q", cut(s)))
	}
	checkName(&faults, ref.Name)
	if err := faults.Err(fmt.Sprintf("registry: reference %q", cut(s))); err != nil {
		return Ref{}, err
	}
	return ref, nil
}

// checkName reports what makes name unfit for a model.
func checkName(faults *errs.Faults, name string) {
	switch {
	case name == "":
		faults.Addf("the model name is empty")
	case len(name) > maxName:
		faults.Addf("model name of %d bytes, want at most %d", len(name), maxName)
	case strings.ContainsAny(name, `/:\`):
		faults.Addf("model name %q holds a slash, a colon or a backslash", name)
	case path.Clean(name) != name || name == "." || name == "..":
		faults.Addf("model name %q is a path step", name)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		faults.Addf("model name %q holds a control character or invalid UTF-8", name)
	}
}

// checkAlias reports what makes alias unfit. Letters of all scripts are fit, as
// in MLflow. Words that could be taken for a
// version are refused.
func checkAlias(faults *errs.Faults, alias string) {
	bad := func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsNumber(r)
	}
	lower := strings.ToLower(alias)
	switch {
	case alias == "":
		faults.Addf("the alias is empty")
	case len(alias) > maxName:
		faults.Addf("alias of %d bytes, want at most %d", len(alias), maxName)
	case strings.ContainsFunc(alias, bad):
		faults.Addf("alias %q holds something else than letters, digits, _ and -", alias)
	case lower == "latest":
		faults.Addf("alias %q is reserved", alias)
	case len(lower) > 1 && lower[0] == 'v' && strings.Trim(lower[1:], "0123456789") == "":
		faults.Addf("alias %q looks like a version number", alias)
	}
}

// cut shortens outside text for an error.
func cut(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
