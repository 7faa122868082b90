-- What searches look at again and again, kept where they look: prompt is 1 for
-- what has MLflow's tag of prompts, gone for the versions of a deleted model.
-- ../sqlite/0003_lists.sql is the same schema, but for an index that
-- serves only there.
ALTER TABLE mw_reg_models ADD COLUMN prompt smallint NOT NULL DEFAULT 0;
ALTER TABLE mw_reg_versions ADD COLUMN prompt smallint NOT NULL DEFAULT 0;
ALTER TABLE mw_reg_versions ADD COLUMN gone smallint NOT NULL DEFAULT 0;
UPDATE mw_reg_models SET prompt = 1
    WHERE id IN (SELECT model_id FROM mw_reg_model_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true');
UPDATE mw_reg_versions SET prompt = 1
    WHERE id IN (SELECT version_id FROM mw_reg_version_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true');
UPDATE mw_reg_versions SET gone = 1
    WHERE model_id IN (SELECT id FROM mw_reg_models WHERE deleted_us IS NOT NULL);

-- The three characters long pieces of models' names, in lower case, each once:
-- they find the names that a pattern may match.
CREATE TABLE mw_reg_grams (
    gram     text COLLATE "C" NOT NULL,
    model_id bigint NOT NULL REFERENCES mw_reg_models (id),
    PRIMARY KEY (gram, model_id)
);
CREATE INDEX mw_reg_grams_by_model ON mw_reg_grams (model_id);
INSERT INTO mw_reg_grams (gram, model_id)
    SELECT DISTINCT substr(lower(m.name), p.n, 3), m.id FROM mw_reg_models m CROSS JOIN LATERAL generate_series(1, length(m.name) - 2) AS p(n);
