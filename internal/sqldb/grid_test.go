package sqldb_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/sqldb"
)

type cell struct {
	n    int64
	text string
	null bool
}

// gridOf sends rows through the database.
func gridOf(t testing.TB, db *sqldb.DB, built bool, rows []cell) (out []cell) {
	var query strings.Builder
	var args []any
	for i, r := range rows {
		if i > 0 {
			query.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&query, "SELECT CAST(? AS bigint) AS a, CAST(? AS text), CAST(? AS text), CAST(? AS bigint), %d AS n", i)
		var text any = r.text
		if r.null {
			text = nil
		}
		args = append(args, r.n, text, r.text, text)
		if args[len(args)-1] != nil {
			args[len(args)-1] = r.n
		}
	}
	if len(rows) == 0 {
		query.WriteString("SELECT 1, '', '', 2, 3 AS n WHERE 1 = 0")
	}
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		out = nil
		return tx.Grid(t.Context(), built, 5, query.String()+" ORDER BY n DESC", args, func(c *sqldb.Cells) error {
			var got cell
			var ok bool
			got.n, ok = c.Int()
			require.True(t, ok)
			first := c.Text()
			got.text = c.Text()
			again, ok := c.Int()
			got.null = !ok
			if ok {
				require.Equal(t, got.n, again)
				require.Equal(t, got.text, first)
			}
			_, ok = c.Int()
			require.True(t, ok)
			out = append(out, got)
			return nil
		})
	})
	require.NoError(t, err)
	return out
}

func TestGridGivesWhatIsStored(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		for _, built := range []bool{false, true, true} {
			require.Empty(t, gridOf(t, db, built, nil))
			rows := []cell{
				{0, "", false}, {-1, "plain", true}, {math.MaxInt64, `"quoted" \ / back\slash`, false},
				{math.MinInt64, "tab\t line\n return\r bell\a back\b feed\f", false}, {42, "žluť 漢字 \U0001F600 \u2028 \u007f", true}, {7, "],[null,\"", false},
			}
			got := gridOf(t, db, built, rows)
			require.Len(t, got, len(rows))
			for i := range rows {
				require.Equal(t, rows[len(rows)-1-i], got[i])
			}
		}
	})
}

func TestGridReportsWhatTheRowHasNot(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		for _, read := range []func(c *sqldb.Cells){
			func(c *sqldb.Cells) { c.Text() },
			func(c *sqldb.Cells) { c.Int(); c.Int() },
			func(c *sqldb.Cells) { c.Int(); c.Text(); c.Text() },
			func(c *sqldb.Cells) { c.Int() },
		} {
			require.Error(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
				return tx.Grid(t.Context(), false, 2, `SELECT 1, 'x'`, nil, func(c *sqldb.Cells) error { read(c); return nil })
			}))
		}
	})
}

func FuzzGrid(f *testing.F) {
	for _, s := range []string{"", "a", `"`, `\`, "\x01", "\\u0041", "\U0001F600", "]],[["} {
		f.Add(int64(len(s)), s, len(s)%2 == 0)
	}
	db := open(f, nil)
	f.Fuzz(func(t *testing.T, n int64, text string, null bool) {
		text = strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "0")
		want := []cell{{n, text, null}, {-n, text + "x", false}}
		got := gridOf(t, db, true, want)
		require.Equal(t, []cell{want[1], want[0]}, got)
	})
}
