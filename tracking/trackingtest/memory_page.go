package trackingtest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

// part is one key of an order. Those without a value come last, and NaN just
// before them, whichever way the order goes.
type part struct {
	Rank   int    `json:",omitempty"` // 0 a value, 1 NaN, 2 none
	Int    int64  `json:",omitempty"`
	Number uint64 `json:",omitempty"` // the bits of a float64
	Text   string `json:",omitempty"`
	Desc   bool   `json:",omitempty"`
}

func intPart(n int64) part   { return part{Int: n} }
func textPart(s string) part { return part{Text: s} }
func noPart() part           { return part{Rank: 2} }

func numberPart(f float64) part {
	if math.IsNaN(f) {
		return part{Rank: 1}
	}
	return part{Number: math.Float64bits(f)}
}

func (p part) descending(desc bool) part {
	p.Desc = desc
	return p
}

func comparePart(a, b part) int {
	if a.Rank != b.Rank {
		return cmp.Compare(a.Rank, b.Rank)
	}
	c := cmp.Or(
		cmp.Compare(a.Int, b.Int),
		cmp.Compare(math.Float64frombits(a.Number), math.Float64frombits(b.Number)),
		strings.Compare(a.Text, b.Text),
	)
	if a.Desc {
		return -c
	}
	return c
}

func comparePlace(a, b []part) int { return slices.CompareFunc(a, b, comparePart) }

// token says behind which place of which answer the next page begins.
type token struct {
	Query string
	After []part
}

// queryText identifies a query without its page.
func queryText(kind string, q any) string {
	raw, _ := json.Marshal(q) // plain fields cannot fail
	if fields := map[string]any{}; json.Unmarshal(raw, &fields) == nil {
		delete(fields, "Page")
		raw, _ = json.Marshal(fields)
	}
	return fmt.Sprintf("%s %x", kind, sha256.Sum256(raw))
}

// readPage orders the entries by their places and returns those of the page.
func readPage[T any](all []T, place func(T) []part, p tracking.Page, byDefault int, query string) (page []T, next string, err error) {
	type entry struct {
		value T
		place []part
	}
	var t token
	if p.Token != "" {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(p.Token)
		if err != nil || json.Unmarshal(raw, &t) != nil || t.Query != query {
			return nil, "", fmt.Errorf("trackingtest: the page token is damaged or belongs to another query: %w", tracking.ErrInvalid)
		}
	}
	var entries []entry
	for _, v := range all {
		if at := place(v); p.Token == "" || comparePlace(at, t.After) > 0 {
			entries = append(entries, entry{v, at})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return comparePlace(a.place, b.place) })
	if p.Max <= 0 {
		p.Max = byDefault
	}
	if len(entries) > p.Max {
		entries = entries[:p.Max]
		raw, _ := json.Marshal(token{Query: query, After: entries[p.Max-1].place}) // plain fields cannot fail
		next = base64.RawURLEncoding.EncodeToString(raw)
	}
	for _, e := range entries {
		page = append(page, e.value)
	}
	return page, next, nil
}
