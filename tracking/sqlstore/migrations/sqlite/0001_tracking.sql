-- Experiments, runs and what runs log. Times are milliseconds since 1970 UTC.
-- Wide text ids and keys appear once and are integers everywhere else.
-- ../postgres/0001_tracking.sql is the same schema.

CREATE TABLE mw_experiment (
    id                INTEGER PRIMARY KEY AUTOINCREMENT, -- ids are not given out twice
    name              TEXT    NOT NULL UNIQUE,
    artifact_location TEXT    NOT NULL,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    deleted_ms        INTEGER
);

CREATE TABLE mw_experiment_tag (
    experiment INTEGER NOT NULL REFERENCES mw_experiment (id),
    key        TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    PRIMARY KEY (experiment, key)
) WITHOUT ROWID;

CREATE TABLE mw_run (
    id            INTEGER PRIMARY KEY,
    run_id        TEXT    NOT NULL UNIQUE,
    experiment_id INTEGER NOT NULL REFERENCES mw_experiment (id),
    name          TEXT    NOT NULL,
    user_id       TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER,
    artifact_uri  TEXT    NOT NULL,
    -- A run that was deleted with its experiment has the time of that.
    deleted_ms    INTEGER,
    -- How much the run holds, kept by the writer: the limits of a run and the
    -- size of a page are decided without counting rows. n_metrics is that of
    -- the keys in mw_latest.
    n_params      INTEGER NOT NULL DEFAULT 0,
    n_tags        INTEGER NOT NULL DEFAULT 0,
    n_metrics     INTEGER NOT NULL DEFAULT 0,
    n_inputs      INTEGER NOT NULL DEFAULT 0,
    n_models      INTEGER NOT NULL DEFAULT 0,
    n_outputs     INTEGER NOT NULL DEFAULT 0,
    input_bytes   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX mw_run_by_start  ON mw_run (experiment_id, start_ms DESC, run_id);
CREATE INDEX mw_run_by_status ON mw_run (experiment_id, status, start_ms DESC, run_id);

-- Keys of metrics, params and tags. Rows are never deleted or changed, which
-- lets every process cache them.
CREATE TABLE mw_key (
    id  INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
);

-- The indexes on values hold whole values: one on their beginnings would be read
-- together with the table, which costs fifteen times as much an entry.
CREATE TABLE mw_param (
    run   INTEGER NOT NULL REFERENCES mw_run (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX mw_param_by_value ON mw_param (key, value, run);

CREATE TABLE mw_tag (
    run   INTEGER NOT NULL REFERENCES mw_run (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX mw_tag_by_value ON mw_tag (key, value, run);

-- Metric points come in as one row a batch and are folded, in the background
-- and before they are read, into mw_metric_block and mw_latest. A point is in
-- the log or in a block; the same point may be in the log any number of times,
-- in the blocks it is there once.
CREATE TABLE mw_metric_log (
    id     INTEGER PRIMARY KEY,
    run    INTEGER NOT NULL REFERENCES mw_run (id),
    n_keys INTEGER NOT NULL, -- different keys in the batch
    data   BLOB    NOT NULL
);
CREATE INDEX mw_metric_log_by_run ON mw_metric_log (run, n_keys);

-- The points of one metric of one run in the order of its history, which is
-- (ts_ms, step, value, is_nan), cut into pieces: a block begins with the point
-- in its key and holds all up to the next block. NaN is value 0 with is_nan 1,
-- because SQLite stores NaN as NULL. The steps of a block are min_step,
-- min_step + stride, …, max_step when stride is not 0.
CREATE TABLE mw_metric_block (
    run      INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    ts_ms    INTEGER NOT NULL,
    step     INTEGER NOT NULL,
    value    REAL    NOT NULL,
    is_nan   INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    min_step INTEGER NOT NULL,
    max_step INTEGER NOT NULL,
    stride   INTEGER NOT NULL,
    data     BLOB    NOT NULL,
    PRIMARY KEY (run, key, ts_ms, step, value, is_nan)
) WITHOUT ROWID;

-- The greatest point of each key by (step, ts_ms, value, is_nan).
CREATE TABLE mw_latest (
    run    INTEGER NOT NULL,
    key    INTEGER NOT NULL,
    step   INTEGER NOT NULL,
    ts_ms  INTEGER NOT NULL,
    value  REAL    NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX mw_latest_by_value ON mw_latest (key, is_nan, value, run);

-- What runs read. Equal descriptions (hash over all text columns) are one row,
-- since many runs share one large profile.
CREATE TABLE mw_dataset (
    id          INTEGER PRIMARY KEY,
    hash        BLOB NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    version     TEXT NOT NULL,
    digest      TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source      TEXT NOT NULL,
    schema      TEXT NOT NULL,
    profile     TEXT NOT NULL
);
CREATE INDEX mw_dataset_by_name ON mw_dataset (name, digest);

CREATE TABLE mw_input (
    run     INTEGER NOT NULL REFERENCES mw_run (id),
    seq     INTEGER NOT NULL, -- order of logging, from 1
    dataset INTEGER NOT NULL REFERENCES mw_dataset (id),
    context TEXT    NOT NULL,
    tags    TEXT    NOT NULL, -- a JSON object, or empty
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE INDEX mw_input_by_dataset ON mw_input (dataset, run);

-- Logged models that runs read and made; the models need not be there.
CREATE TABLE mw_run_model (
    run    INTEGER NOT NULL REFERENCES mw_run (id),
    output INTEGER NOT NULL, -- 0 the run read it, 1 it made it
    seq    INTEGER NOT NULL, -- order of logging, from 1
    model  TEXT    NOT NULL,
    step   INTEGER NOT NULL,
    PRIMARY KEY (run, output, seq)
) WITHOUT ROWID;
CREATE INDEX mw_run_model_by_model ON mw_run_model (model);
