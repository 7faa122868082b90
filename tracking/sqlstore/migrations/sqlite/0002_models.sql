-- Logged models with their params, tags and metrics. ../postgres/0002_models.sql
-- is the same schema.

CREATE TABLE mw_model (
    id             INTEGER PRIMARY KEY,
    model_id       TEXT    NOT NULL UNIQUE,
    experiment_id  INTEGER NOT NULL REFERENCES mw_experiment (id),
    name           TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    source_run     TEXT    NOT NULL, -- a run id; the run need not be there
    status         TEXT    NOT NULL,
    status_message TEXT    NOT NULL,
    artifact_uri   TEXT    NOT NULL,
    created_ms     INTEGER NOT NULL,
    updated_ms     INTEGER NOT NULL,
    deleted_ms     INTEGER,
    -- How much the model holds, kept by the writer.
    n_params       INTEGER NOT NULL DEFAULT 0,
    n_tags         INTEGER NOT NULL DEFAULT 0,
    n_metrics      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX mw_model_by_created ON mw_model (experiment_id, created_ms DESC, model_id);
CREATE INDEX mw_model_by_run     ON mw_model (source_run);

CREATE TABLE mw_model_param (
    model INTEGER NOT NULL REFERENCES mw_model (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;
CREATE INDEX mw_model_param_by_value ON mw_model_param (key, value, model);

CREATE TABLE mw_model_tag (
    model INTEGER NOT NULL REFERENCES mw_model (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;
CREATE INDEX mw_model_tag_by_value ON mw_model_tag (key, value, model);

-- The greatest point of each metric on each dataset by (step, ts_ms, value,
-- is_nan). Without a dataset the two names are empty.
CREATE TABLE mw_model_metric (
    model   INTEGER NOT NULL REFERENCES mw_model (id),
    key     INTEGER NOT NULL REFERENCES mw_key (id),
    dataset TEXT    NOT NULL,
    digest  TEXT    NOT NULL,
    step    INTEGER NOT NULL,
    ts_ms   INTEGER NOT NULL,
    value   REAL    NOT NULL,
    is_nan  INTEGER NOT NULL,
    run     TEXT    NOT NULL,
    PRIMARY KEY (model, key, dataset, digest)
) WITHOUT ROWID;
CREATE INDEX mw_model_metric_by_value ON mw_model_metric (key, is_nan, value, model, dataset, digest);
