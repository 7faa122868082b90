package sqlstore

import (
	"cmp"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking/search"
)

// A pattern that selects many versions of many models, none of them among the
// latest of all, is answered from the latest of these models.
func TestSearchNewestOfManyModels(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		searchNewest(t, "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "x.db")))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		searchNewest(t, pgtest.SchemaURL(t))
	})
}

func searchNewest(t *testing.T, url string) {
	s, err := Open(t.Context(), url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	type made struct {
		ref, name       string
		number, updated int
		checked, hidden bool
	}
	const models, versions = 300, 10
	random := rand.New(rand.NewPCG(1, 2))
	var all []made
	var rows, versionRows, tags []string
	for i := range models {
		name := fmt.Sprintf("m-%03d", i)
		rows = append(rows, fmt.Sprintf("(%d, '%s', 1, 1, %d, '')", i+1, name, versions))
		for n := 1; n <= versions; n++ {
			// The models from 200 on are later than the others, whose versions
			// are of the same few times, in no order of their numbers.
			m := made{name: name, number: n, updated: random.IntN(40), checked: random.IntN(6) > 0, hidden: random.IntN(9) == 0}
			if i >= 200 {
				m.updated += 100
			}
			id, deleted := 1+i+models*(n-1), "NULL"
			m.ref = fmt.Sprintf("%s/%d", name, n)
			if m.hidden {
				deleted = "7"
			}
			versionRows = append(versionRows, fmt.Sprintf("(%d, %d, '%s', %d, 1, %d, %s, '', 'None', 'READY', '', '', '', '', '', '', '', '', '', '', 'millwright-manifest 1\n')",
				id, i+1, name, n, m.updated, deleted))
			if m.checked {
				tags = append(tags, fmt.Sprintf("(%d, 'checked', 'yes')", id))
			}
			all = append(all, m)
		}
	}
	require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		for _, insert := range []struct {
			head   string
			values []string
		}{
			{"INSERT INTO mw_reg_models (id, name, created_us, updated_us, latest, description) VALUES ", rows},
			{"INSERT INTO mw_reg_versions (id, model_id, name, number, created_us, updated_us, deleted_us, run, stage, status, digest, framework, flavor," +
				" license, golden, logged_model, user_name, source, status_message, description, manifest) VALUES ", versionRows},
			{"INSERT INTO mw_reg_version_tags (version_id, key, value) VALUES ", tags},
		} {
			if _, err := tx.ExecContext(t.Context(), insert.head+strings.Join(insert.values, ", ")); err != nil {
				return err
			}
		}
		return nil
	}))
	slices.SortFunc(all, func(a, b made) int {
		return cmp.Or(b.updated-a.updated, strings.Compare(a.name, b.name), b.number-a.number)
	})
	for filter, want := range map[string]func(m made) bool{
		"name LIKE 'm-0%'":                           func(m made) bool { return m.name < "m-100" },
		"name LIKE 'm-1%' AND tags.checked = 'yes'":  func(m made) bool { return m.checked && m.name >= "m-100" && m.name < "m-200" },
		"name LIKE 'm-%9' AND version_number < 3":    func(m made) bool { return m.name[4] == '9' && m.number < 3 },
		"name LIKE 'm-1%' AND name LIKE '%7'":        func(m made) bool { return m.name[2] == '1' && m.name[4] == '7' },
		"name LIKE 'm-1%' AND tags.checked != 'yes'": func(m made) bool { return false },
	} {
		var expected []string
		for _, m := range all {
			if !m.hidden && want(m) {
				expected = append(expected, m.ref)
			}
		}
		for _, size := range []int{23, 150, 1000} {
			var got []string
			for token := ""; ; {
				page, next, err := s.SearchVersions(t.Context(), registry.VersionQuery{Filter: filter, Brief: true, Page: registry.Page{Max: size, Token: token}})
				require.NoError(t, err)
				for _, v := range page {
					got = append(got, v.Ref())
				}
				if token = next; token == "" {
					break
				}
			}
			require.Equal(t, expected, got, "%s by %d", filter, size)
		}
	}
}

// A version shows all of its aliases in a list, however many there are.
func TestSearchVersionsOfManyAliases(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "x.db")), nil)
	require.NoError(t, err)
	defer s.Close()
	for range 2 {
		_, err = s.CreateVersion(t.Context(), &registry.Version{Name: "m", Created: time.UnixMilli(1), Status: registry.Ready}, "")
		require.NoError(t, err)
	}
	var want []string
	require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		var rows []string
		for i := range 1200 {
			want = append(want, fmt.Sprintf("a%04d", i))
			rows = append(rows, fmt.Sprintf("(1, 'a%04d', 2, 1)", i))
		}
		_, err := tx.ExecContext(t.Context(), "INSERT INTO mw_reg_aliases (model_id, alias, number, moved_us) VALUES "+strings.Join(rows, ", "))
		return err
	}))
	page, _, err := s.SearchVersions(t.Context(), registry.VersionQuery{Brief: true})
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.Equal(t, want, page[0].Aliases)
	require.Empty(t, page[1].Aliases)
}

// What looks at many versions reads indexes alone.
func TestPlans(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "x.db")), nil)
	require.NoError(t, err)
	defer s.Close()
	lookup := func(tx *sqldb.Tx, filter string, orderBy ...string) *sqlsearch.Lookup {
		clauses, err := search.ModelVersions().Filter(filter)
		require.NoError(t, err)
		orders, err := search.ModelVersions().Order(orderBy)
		require.NoError(t, err)
		q := query{schema: searchedVersions, base: []sqlsearch.Fragment{sqlsearch.Frag("e.gone = 0")}, model: "e.model_id"}
		l, _, _, err := q.lookup(t.Context(), tx, clauses, orders, [8]byte{})
		require.NoError(t, err)
		return l
	}
	require.NoError(t, s.db.View(t.Context(), func(tx *sqldb.Tx) error {
		plan := func(f sqlsearch.Fragment) string {
			var lines []string
			rows, err := tx.QueryBuilt(t.Context(), "EXPLAIN QUERY PLAN "+f.Text, f.Args...)
			require.NoError(t, err)
			defer rows.Close()
			for rows.Next() {
				var a, b, c sql.NullInt64
				var line string
				require.NoError(t, rows.Scan(&a, &b, &c, &line))
				lines = append(lines, line)
			}
			require.NoError(t, rows.Err())
			return strings.Join(lines, "\n")
		}
		require.Equal(t, "SCAN e USING COVERING INDEX mw_reg_versions_by_name", plan(lookup(tx, "", "name", "version_number DESC").Statement(0, 10, nil)))
		parents := lookup(tx, "name LIKE 'm%' AND tags.a = 'b'").Parents()
		require.Len(t, parents, 1)
		require.Contains(t, plan(parents[0]), "SEARCH d USING COVERING INDEX mw_reg_versions_newest (model_id=?)")
		require.Contains(t, plan(parents[0]), "(name>? AND name<?)")
		require.Contains(t, plan(lookup(tx, "tags.a = 'b'").Statement(0, 10, []int64{1})), "USING COVERING INDEX mw_reg_versions_narrow (id=?)")
		return nil
	}))
}
