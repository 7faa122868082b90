package sqlstore_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// A database that an older version filled is found by what later steps added.
func TestMigrateFillsWhatSearchesRead(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		old := fstest.MapFS{}
		for _, name := range []string{"sqlite/0001_registry.sql", "sqlite/0002_webhooks.sql", "postgres/0001_registry.sql", "postgres/0002_webhooks.sql"} {
			text, err := os.ReadFile("migrations/" + name)
			require.NoError(t, err)
			old[name] = &fstest.MapFile{Data: text}
		}
		db, err := sqldb.Open(t.Context(), url, nil)
		require.NoError(t, err)
		require.NoError(t, sqldb.Migrate(t.Context(), db, "registry", old))
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			for _, text := range []string{
				`INSERT INTO mw_reg_models (id, name, created_us, updated_us, deleted_us, latest, description) VALUES
					(11, 'Card fraud', 1, 1, NULL, 1, ''), (12, 'greeting', 2, 2, NULL, 1, ''), (13, 'old fraud', 3, 3, 4, 1, ''), (14, 'ab', 5, 5, NULL, 0, '')`,
				`INSERT INTO mw_reg_model_tags (model_id, key, value) VALUES (12, 'mlflow.prompt.is_prompt', 'true'), (11, 'mlflow.prompt.is_prompt', 'false')`,
				`INSERT INTO mw_reg_versions (id, model_id, name, number, created_us, updated_us, run, stage, status, digest, framework, flavor, license,
					golden, logged_model, user_name, source, status_message, description, manifest)
					SELECT id + 100, id, name, 1, 1, 1, 'run', 'None', 'READY', '', '', '', '', '', '', '', '', '', '', '` + "millwright-manifest 1\n" + `' FROM mw_reg_models WHERE latest = 1`,
				`INSERT INTO mw_reg_version_tags (version_id, key, value) VALUES (112, 'mlflow.prompt.is_prompt', 'true')`,
			} {
				if _, err := tx.ExecContext(t.Context(), text); err != nil {
					return err
				}
			}
			return nil
		}))
		require.NoError(t, db.Close())

		s := open(t, url)
		for filter, want := range map[string]string{
			"": "Card fraud, ab", "name LIKE '%fraud%'": "Card fraud", "name ILIKE '%D FR%'": "Card fraud", "name LIKE '%D FR%'": "",
			"name LIKE '%gree%'": "", "name LIKE '_b'": "ab", "tags.`mlflow.prompt.is_prompt` = 'true'": "greeting",
		} {
			models, _, err := s.SearchModels(t.Context(), registry.ModelQuery{Filter: filter, Latest: true})
			require.NoError(t, err, filter)
			versions, _, err := s.SearchVersions(t.Context(), registry.VersionQuery{Filter: filter, Brief: true})
			require.NoError(t, err, filter)
			var names, of []string
			for _, m := range models {
				names = append(names, m.Name)
				for _, v := range m.LatestVersions {
					require.Equal(t, m.Name+"/1", v.Ref())
				}
				require.Len(t, m.LatestVersions, m.Latest)
			}
			for _, v := range versions {
				of = append(of, v.Name)
			}
			require.Equal(t, want, strings.Join(names, ", "), filter)
			require.Equal(t, strings.TrimSuffix(strings.TrimSuffix(want, "ab"), ", "), strings.Join(of, ", "), filter)
		}
		restore := false
		require.NoError(t, s.UpdateModel(t.Context(), "old fraud", registry.ModelUpdate{Deleted: &restore}))
		versions, _, err := s.SearchVersions(t.Context(), registry.VersionQuery{Filter: "name LIKE '%fraud'", OrderBy: []string{"name"}})
		require.NoError(t, err)
		require.Len(t, versions, 2)
	})
}
