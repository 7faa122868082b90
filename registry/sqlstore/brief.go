package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/registry"
)

// The reads of this file are those of lists, in which there are many records
// and little of each. A page takes three statements, each of which gives one
// text; see sqldb.Tx.Grid.

// grid is a statement for sqldb.Tx.Grid.
type grid struct {
	columns int
	text    string
}

// lists are the statements that read what lists show.
type lists struct {
	models, modelTags                     grid
	modelAliases, firstAliases            grid
	versions, versionTags, versionAliases grid
	aliasesOf                             grid
	latest                                grid
}

func newLists(d sqldb.Dialect) lists {
	var stages []string
	for _, stage := range []string{registry.StageNone, registry.StageStaging, registry.StageProduction, registry.StageArchived} {
		// One look into the index, however many versions there are.
		stages = append(stages, `(SELECT v.id FROM mw_reg_versions v WHERE v.model_id = x.value AND v.stage = '`+stage+`' AND v.deleted_us IS NULL
			ORDER BY v.number DESC LIMIT 1)`)
	}
	return lists{
		models: grid{7, `SELECT m.id, m.name, m.created_us, m.updated_us, m.deleted_us, m.latest, m.description
			FROM ` + d.Each("x") + ` JOIN mw_reg_models m ON m.id = x.value`},
		modelTags: grid{3, `SELECT t.model_id, t.key, t.value FROM ` + d.Each("x") + ` JOIN mw_reg_model_tags t ON t.model_id = x.value`},
		modelAliases: grid{4, `SELECT a.model_id, a.alias, a.number, a.moved_us
			FROM ` + d.Each("x") + ` JOIN mw_reg_aliases a ON a.model_id = x.value LIMIT ?`},
		firstAliases: grid{4, `SELECT a.model_id, a.alias, a.number, a.moved_us FROM (
				SELECT model_id, alias, number, moved_us, ROW_NUMBER() OVER (PARTITION BY model_id ORDER BY alias) AS n
				FROM mw_reg_aliases WHERE ` + d.In("model_id") + `) a
			WHERE a.n <= ?`},
		versions: grid{14, `SELECT v.id, v.model_id, v.name, v.number, v.created_us, v.updated_us, v.deleted_us, v.run, v.stage, v.status,
			v.user_name, v.source, v.status_message, v.description
			FROM ` + d.Each("x") + ` JOIN mw_reg_versions v ON v.id = x.value`},
		versionTags: grid{3, `SELECT t.version_id, t.key, t.value FROM ` + d.Each("x") + ` JOIN mw_reg_version_tags t ON t.version_id = x.value`},
		versionAliases: grid{2, `SELECT v.id, a.alias
			FROM ` + d.Each("x") + ` JOIN mw_reg_versions v ON v.id = x.value JOIN mw_reg_aliases a ON a.model_id = v.model_id AND a.number = v.number`},
		aliasesOf: grid{3, `SELECT a.model_id, a.number, a.alias FROM ` + d.Each("x") + ` JOIN mw_reg_aliases a ON a.model_id = x.value LIMIT ?`},
		latest:    grid{1 + len(stages), `SELECT x.value, ` + strings.Join(stages, ", ") + ` FROM ` + d.Each("x")},
	}
}

// each runs a statement and hands over its rows.
func (g grid) each(ctx context.Context, tx *sqldb.Tx, args []any, row func(*sqldb.Cells) error) error {
	return tx.Grid(ctx, false, g.columns, g.text, args, row)
}

// tagsOf reads tags, each of which goes to the map that of returns for its id.
func (g grid) tagsOf(ctx context.Context, tx *sqldb.Tx, ids any, of func(id int64) (tags *map[string]string, size *int)) error {
	return g.each(ctx, tx, []any{ids}, func(c *sqldb.Cells) error {
		id, _ := c.Int()
		key, value := c.Text(), c.Text()
		tags, size := of(id)
		if *tags == nil {
			*tags = map[string]string{}
		}
		(*tags)[key] = value
		*size += len(key) + len(value)
		return nil
	})
}

// foundModels reads the models of a page; size is what they hold, in bytes,
// roughly.
func (s *Store) foundModels(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) (page []registry.Model, size int, err error) {
	place, ids := placed(entries)
	page = make([]registry.Model, len(entries))
	args := []any{s.dialect.Ints(ids)}
	err = s.lists.models.each(ctx, tx, args, func(c *sqldb.Cells) error {
		id, _ := c.Int()
		m := &page[place[id]]
		m.Name = c.Text()
		created, _ := c.Int()
		updated, _ := c.Int()
		m.Created, m.Updated = fromMicros(created), fromMicros(updated)
		m.Deleted, m.DeletedAt = deletedCell(c)
		latest, _ := c.Int()
		m.Latest, m.Description = int(latest), c.Text()
		size += len(m.Description) + 1000
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	err = s.lists.modelTags.tagsOf(ctx, tx, args[0], func(id int64) (*map[string]string, *int) { return &page[place[id]].Tags, &size })
	if err != nil {
		return nil, 0, err
	}
	return page, size, s.aliases(ctx, tx, ids, func(id int64) *registry.Model { return &page[place[id]] })
}

// aliases reads the first of each model's aliases.
func (s *Store) aliases(ctx context.Context, tx *sqldb.Tx, ids []int64, of func(id int64) *registry.Model) error {
	read := func(g grid, most int) (n int, err error) {
		err = g.each(ctx, tx, []any{s.dialect.Ints(ids), most}, func(c *sqldb.Cells) error {
			id, _ := c.Int()
			alias := c.Text()
			number, _ := c.Int()
			moved, _ := c.Int()
			m := of(id)
			m.Aliases = append(m.Aliases, registry.Alias{Alias: alias, Number: int(number), Moved: fromMicros(moved)})
			n++
			return nil
		})
		return n, err
	}
	// As a rule all that there are are few. Only else it is worth to number them.
	const few = 1000
	n, err := read(s.lists.modelAliases, few)
	many := n == few
	for _, id := range ids {
		many = many || len(of(id).Aliases) > maxModelAliases
	}
	if many && err == nil {
		for _, id := range ids {
			of(id).Aliases = nil
		}
		_, err = read(s.lists.firstAliases, maxModelAliases)
	}
	for _, id := range ids {
		slices.SortFunc(of(id).Aliases, func(a, b registry.Alias) int { return strings.Compare(a.Alias, b.Alias) })
	}
	return err
}

// latestModels is foundModels with the latest versions of each.
func (s *Store) latestModels(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) (page []registry.Model, size int, err error) {
	page, size, err = s.foundModels(ctx, tx, entries)
	if err != nil {
		return nil, 0, err
	}
	place, ids := placed(entries)
	var versions []sqlsearch.Entry
	var of []*registry.Model // of each of them
	err = s.lists.latest.each(ctx, tx, []any{s.dialect.Ints(ids)}, func(c *sqldb.Cells) error {
		id, _ := c.Int()
		for range s.lists.latest.columns - 1 {
			if v, ok := c.Int(); ok {
				versions, of = append(versions, sqlsearch.Entry{ID: v}), append(of, &page[place[id]])
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	list, models, n, err := s.brief(ctx, tx, versions)
	if err != nil {
		return nil, 0, err
	}
	for i, v := range list {
		of[i].LatestVersions = append(of[i].LatestVersions, v)
	}
	whole := true // the aliases of the models are all that they have
	for i := range page {
		m := &page[i]
		slices.SortFunc(m.LatestVersions, func(a, b *registry.Version) int { return a.Number - b.Number })
		whole = whole && len(m.Aliases) < maxModelAliases
		for _, a := range m.Aliases {
			for _, v := range m.LatestVersions {
				if v.Number == a.Number {
					v.Aliases = append(v.Aliases, a.Alias)
				}
			}
		}
	}
	if !whole {
		err = s.aliased(ctx, tx, versions, list, models)
	}
	return page, size + n, err
}

// briefVersions reads the versions of a page as VersionQuery.Brief asks for
// them; size is what they hold, in bytes, roughly.
func (s *Store) briefVersions(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) (page []*registry.Version, size int, err error) {
	page, of, size, err := s.brief(ctx, tx, entries)
	if err == nil {
		err = s.aliased(ctx, tx, entries, page, of)
	}
	return page, size, err
}

// brief is briefVersions without aliases; of are the ids of their models.
func (s *Store) brief(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) (page []*registry.Version, of []int64, size int, err error) {
	place, ids := placed(entries)
	of = make([]int64, len(entries))
	rows := make([]registry.Version, len(entries))
	args := []any{s.dialect.Ints(ids)}
	err = s.lists.versions.each(ctx, tx, args, func(c *sqldb.Cells) error {
		id, _ := c.Int()
		v := &rows[place[id]]
		of[place[id]], _ = c.Int()
		v.Name = c.Text()
		number, _ := c.Int()
		created, _ := c.Int()
		updated, _ := c.Int()
		v.Number, v.Created, v.Updated = int(number), fromMicros(created), fromMicros(updated)
		v.Deleted, v.DeletedAt = deletedCell(c)
		v.Run, v.Stage, v.Status = c.Text(), c.Text(), registry.Status(c.Text())
		v.User, v.Source, v.StatusMessage, v.Description = c.Text(), c.Text(), c.Text(), c.Text()
		size += len(v.Description) + 1000
		return nil
	})
	if err != nil {
		return nil, nil, 0, err
	}
	err = s.lists.versionTags.tagsOf(ctx, tx, args[0], func(id int64) (*map[string]string, *int) { return &rows[place[id]].Tags, &size })
	if err != nil {
		return nil, nil, 0, err
	}
	for i := range rows {
		page = append(page, &rows[i])
	}
	return page, of, size, nil
}

// aliased sets the aliases of the versions of a page, whose models are of.
func (s *Store) aliased(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry, page []*registry.Version, of []int64) error {
	type spot struct {
		model  int64
		number int
	}
	versions := make(map[spot]*registry.Version, len(page))
	for i, v := range page {
		v.Aliases = nil
		versions[spot{of[i], v.Number}] = v
	}
	models := slices.Clone(of)
	slices.Sort(models)
	// As a rule all aliases of the models are few, and the models fewer than the
	// versions.
	const few = 1000
	n := 0
	err := s.lists.aliasesOf.each(ctx, tx, []any{s.dialect.Ints(slices.Compact(models)), few}, func(c *sqldb.Cells) error {
		model, _ := c.Int()
		number, _ := c.Int()
		alias := c.Text()
		if v := versions[spot{model, int(number)}]; v != nil {
			v.Aliases = append(v.Aliases, alias)
		}
		n++
		return nil
	})
	if err == nil && n == few {
		err = s.aliasedAmongMany(ctx, tx, entries, page)
	}
	for _, v := range page {
		slices.Sort(v.Aliases)
	}
	return err
}

// aliasedAmongMany is aliased for models with any number of aliases.
func (s *Store) aliasedAmongMany(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry, page []*registry.Version) error {
	place, ids := placed(entries)
	for _, v := range page {
		v.Aliases = nil
	}
	return s.lists.versionAliases.each(ctx, tx, []any{s.dialect.Ints(ids)}, func(c *sqldb.Cells) error {
		id, _ := c.Int()
		v := page[place[id]]
		v.Aliases = append(v.Aliases, c.Text())
		return nil
	})
}

// deletedCell reads deleted_us.
func deletedCell(c *sqldb.Cells) (bool, time.Time) {
	us, ok := c.Int()
	return deletion(sql.NullInt64{Int64: us, Valid: ok})
}

// placed tells where in a page each entry is. The ids are sorted, which
// is how the database likes to look for them.
func placed(entries []sqlsearch.Entry) (place map[int64]int, ids []int64) {
	place, ids = make(map[int64]int, len(entries)), sqlsearch.IDs(entries)
	for i, id := range ids {
		place[id] = i
	}
	slices.Sort(ids)
	return place, ids
}
