-- The order by name with what every search tests, so that it need not look at
-- the rows that it passes.
-- ../postgres/0004_newest.sql is the same step, but for this index, of which
-- nothing is gained there.
DROP INDEX mw_reg_versions_by_name;
CREATE INDEX mw_reg_versions_by_name ON mw_reg_versions (name, number DESC, deleted_us, gone, prompt);

-- The latest version of a model, of which no other one of it is the later.
CREATE INDEX mw_reg_versions_newest ON mw_reg_versions (model_id, updated_us DESC);
