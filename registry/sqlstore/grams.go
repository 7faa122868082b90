package sqlstore

import (
	"context"
	"slices"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking/search"
)

// A pattern with text before what is sought, LIKE '%fraud%', finds no range in
// an index of names. Each name is therefore kept in pieces of three characters,
// too, and the rarest piece of the pattern tells which few names to compare.

// gramLength is that of a piece, in characters.
const gramLength = 3

// rare is how many names with a piece are looked at one by one; more are better
// found by going through all.
const rare = 500

// gramsOf are the pieces of a text, in lower case, each once.
func gramsOf(text string) []string {
	runes := []rune(sqldb.LowerASCII(text))
	var out []string
	for i := range max(0, len(runes)-gramLength+1) {
		out = append(out, string(runes[i:i+gramLength]))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// index keeps the pieces of a model's name.
func (w *writing) index(ctx context.Context, model int64, name string) error {
	grams := gramsOf(name)
	if len(grams) == 0 {
		return nil
	}
	d := w.Dialect()
	_, err := w.ExecContext(ctx, `INSERT INTO mw_reg_grams (gram, model_id) SELECT x.value, CAST(? AS bigint) FROM `+d.EachText("x")+`
		WHERE true ON CONFLICT (gram, model_id) DO NOTHING`, model, d.Texts(grams))
	return err
}

// narrow adds to a search for names like a pattern the models whose names have
// its rarest piece, unless they are many.
func narrow(ctx context.Context, tx *sqldb.Tx, l *sqlsearch.Lookup, clauses []search.Clause, model string) error {
	d := tx.Dialect()
	for i := range clauses {
		c := &clauses[i]
		if c.Entity != search.Attribute || c.Key != "name" || c.Op != search.Like && c.Op != search.ILike {
			continue
		}
		var grams []string
		begins := false // what is sought begins with a text, for which there is an index
		for k, part := range sqldb.Literals(c.Text) {
			begins = begins || k == 0 && c.Op == search.Like && part != ""
			grams = append(grams, gramsOf(part)...)
		}
		if begins || len(grams) == 0 {
			continue
		}
		rarest, least := "", int64(rare)
		err := tx.Grid(ctx, false, 2, `SELECT x.value, (SELECT COUNT(*) FROM (SELECT 1 FROM mw_reg_grams g WHERE g.gram = x.value LIMIT ?) few)
			FROM `+d.EachText("x"), []any{rare, d.Texts(grams)}, func(cells *sqldb.Cells) error {
			gram := cells.Text()
			if n, _ := cells.Int(); n < least {
				rarest, least = gram, n
			}
			return nil
		})
		if err != nil {
			return err
		}
		if rarest == "" {
			continue
		}
		var ids []int64
		err = tx.Grid(ctx, false, 1, `SELECT g.model_id FROM mw_reg_grams g WHERE g.gram = ?`, []any{rarest}, func(cells *sqldb.Cells) error {
			id, _ := cells.Int()
			ids = append(ids, id)
			return nil
		})
		if err != nil {
			return err
		}
		l.Base = append(l.Base, sqlsearch.Frag(d.In(model), d.Ints(ids)))
	}
	return nil
}
