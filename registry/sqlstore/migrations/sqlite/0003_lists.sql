-- What searches look at again and again, kept where they look: prompt is 1 for
-- what has MLflow's tag of prompts, gone for the versions of a deleted model.
-- ../postgres/0003_lists.sql is the same schema.
ALTER TABLE mw_reg_models ADD COLUMN prompt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mw_reg_versions ADD COLUMN prompt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mw_reg_versions ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
UPDATE mw_reg_models SET prompt = 1
    WHERE id IN (SELECT model_id FROM mw_reg_model_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true');
UPDATE mw_reg_versions SET prompt = 1
    WHERE id IN (SELECT version_id FROM mw_reg_version_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true');
UPDATE mw_reg_versions SET gone = 1
    WHERE model_id IN (SELECT id FROM mw_reg_models WHERE deleted_us IS NOT NULL);

-- What filters and orders look at, without the long columns beside it: a search
-- that has a list of versions to choose from reads this instead of the rows.
CREATE INDEX mw_reg_versions_narrow ON mw_reg_versions (id, updated_us, name, number, deleted_us, gone, prompt, created_us, run);

-- The three characters long pieces of models' names, in lower case, each once:
-- they find the names that a pattern may match.
CREATE TABLE mw_reg_grams (
    gram     TEXT    NOT NULL,
    model_id INTEGER NOT NULL REFERENCES mw_reg_models (id),
    PRIMARY KEY (gram, model_id)
) WITHOUT ROWID;
CREATE INDEX mw_reg_grams_by_model ON mw_reg_grams (model_id);
INSERT INTO mw_reg_grams (gram, model_id)
    WITH RECURSIVE place(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM place WHERE n < (SELECT MAX(length(name)) FROM mw_reg_models))
    SELECT DISTINCT substr(lower(m.name), p.n, 3), m.id FROM mw_reg_models m JOIN place p ON p.n <= length(m.name) - 2;
