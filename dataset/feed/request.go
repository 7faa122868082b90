package feed

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/loader"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Request asks for one shard of a version. Its JSON is the ticket of Arrow
// Flight, and its fields are the parameters of the HTTP handler's URL.
type Request struct {
	// Dataset is the name in the catalog.
	Dataset string `json:"dataset"`
	// Ref says which version, as dataset.Resolve understands it. The default is
	// the newest of the main branch, which may be another one for every request:
	// workers that share an epoch must all name the same version.
	Ref string `json:"ref,omitempty"`

	// These are the options of the loader; see loader.Options.
	Columns   []string      `json:"columns,omitempty"`
	Where     filter.Expr   `json:"where,omitzero"`
	Split     *loader.Split `json:"split,omitempty"`
	Shuffle   bool          `json:"shuffle,omitempty"`
	Seed      uint64        `json:"seed,omitempty"`
	Window    int           `json:"window,omitempty"`
	Even      bool          `json:"even,omitempty"`
	BatchRows int           `json:"batch_rows,omitempty"`

	// These name the shard; see loader.Shard.
	Epoch int64 `json:"epoch,omitempty"`
	Rank  int   `json:"rank,omitempty"`
	World int   `json:"world,omitempty"`
	// Token resumes a shard where its stream stood. Epoch, Rank and World are
	// then those of the token, and must be the same where they are set.
	Token string `json:"token,omitempty"`
}

// The parameters of the URL. A split has four of them.
const (
	paramRef       = "ref"
	paramColumns   = "columns"
	paramWhere     = "where"
	paramSplitKey  = "split_key"
	paramSplitSeed = "split_seed"
	paramSplitFrom = "split_from"
	paramSplitTo   = "split_to"
	paramShuffle   = "shuffle"
	paramSeed      = "seed"
	paramWindow    = "window"
	paramEven      = "even"
	paramBatchRows = "batch_rows"
	paramEpoch     = "epoch"
	paramRank      = "rank"
	paramWorld     = "world"
	paramToken     = "token"
)

// Values writes the request as the parameters of a URL; Dataset is in its path.
func (r *Request) Values() url.Values {
	q := url.Values{}
	set := func(name, value string, ok bool) {
		if ok {
			q.Set(name, value)
		}
	}
	set(paramRef, r.Ref, r.Ref != "")
	set(paramColumns, strings.Join(r.Columns, ","), len(r.Columns) > 0)
	set(paramWhere, r.Where.String(), !r.Where.IsZero())
	if s := r.Split; s != nil {
		set(paramSplitKey, strings.Join(s.Key, ","), true)
		set(paramSplitSeed, s.Seed, s.Seed != "")
		set(paramSplitFrom, strconv.Itoa(s.From), s.From != 0)
		set(paramSplitTo, strconv.Itoa(s.To), true)
	}
	set(paramShuffle, "true", r.Shuffle)
	set(paramSeed, strconv.FormatUint(r.Seed, 10), r.Seed != 0)
	set(paramWindow, strconv.Itoa(r.Window), r.Window != 0)
	set(paramEven, "true", r.Even)
	set(paramBatchRows, strconv.Itoa(r.BatchRows), r.BatchRows != 0)
	set(paramEpoch, strconv.FormatInt(r.Epoch, 10), r.Epoch != 0)
	set(paramRank, strconv.Itoa(r.Rank), r.Rank != 0)
	set(paramWorld, strconv.Itoa(r.World), r.World != 0)
	set(paramToken, r.Token, r.Token != "")
	return q
}

// ParseValues reads the parameters of a URL. A parameter that is unknown, given
// twice or malformed is refused, all of them at once: a misspelt one would
// silently train on other rows.
func ParseValues(name string, q url.Values) (*Request, error) {
	p := params{q: q}
	r := &Request{
		Dataset: name, Ref: p.text(paramRef), Columns: p.list(paramColumns),
		Shuffle: p.flag(paramShuffle), Seed: p.number(paramSeed, 64), Window: p.count(paramWindow), Even: p.flag(paramEven),
		BatchRows: p.count(paramBatchRows), Epoch: int64(p.number(paramEpoch, 63)), Rank: p.count(paramRank), World: p.count(paramWorld),
		Token: p.text(paramToken),
	}
	if text := p.text(paramWhere); text != "" {
		var err error
		if r.Where, err = filter.Parse(text); err != nil {
			p.Addf("%s: %v", paramWhere, err)
		}
	}
	split := loader.Split{Key: p.list(paramSplitKey), Seed: p.text(paramSplitSeed), From: p.count(paramSplitFrom), To: p.count(paramSplitTo)}
	if split.Key != nil || split.Seed != "" || split.From != 0 || split.To != 0 {
		r.Split = &split
	}
	for name := range q {
		if !slices.Contains(p.known, name) {
			p.unknown = append(p.unknown, name)
		}
	}
	slices.Sort(p.unknown)
	for _, name := range p.unknown {
		p.Addf("there is no parameter %q", name)
	}
	if err := p.Err("feed: request"); err != nil {
		return nil, err
	}
	return r, nil
}

// params reads parameters and remembers which there are.
type params struct {
	errs.Faults
	q       url.Values
	known   []string
	unknown []string
}

func (p *params) text(name string) string {
	p.known = append(p.known, name)
	values := p.q[name]
	p.Check(len(values) < 2, "%s is given %d times", name, len(values))
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func (p *params) list(name string) []string {
	text := p.text(name)
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (p *params) flag(name string) bool {
	text := p.text(name)
	p.Check(text == "" || text == "true" || text == "false", "%s is %q, want true or false", name, text)
	return text == "true"
}

func (p *params) number(name string, bits int) uint64 {
	text := p.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, bits)
	p.Check(err == nil, "%s is %q, want a whole number of at most %d bits", name, text, bits)
	return n
}

func (p *params) count(name string) int { return int(p.number(name, 31)) }

// options are the loader's options for the request within the limits.
func (r *Request) options(l *Limits) (*loader.Options, error) {
	var f errs.Faults
	f.Check(r.Window <= l.window(), "window is %d, this server allows %d", r.Window, l.window())
	f.Check(r.BatchRows <= l.batchRows(), "batch_rows is %d, this server allows %d", r.BatchRows, l.batchRows())
	if err := f.Err(fmt.Sprintf("feed: request for %q", r.Dataset)); err != nil {
		return nil, err
	}
	o := &loader.Options{
		Columns: r.Columns, Where: r.Where, Split: r.Split, Shuffle: r.Shuffle, Seed: r.Seed, Window: r.Window, Even: r.Even,
		BatchRows: r.BatchRows,
	}
	if l != nil {
		o.Prefetch, o.Workers = l.Prefetch, l.Workers
	}
	return o, nil
}
