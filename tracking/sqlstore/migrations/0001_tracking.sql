-- Experiments, runs and what runs log. Times are milliseconds since 1970 UTC.
-- Wide text ids and keys appear once and are integers everywhere else.

CREATE TABLE mw_experiment (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- ids are not given out twice
    name       TEXT    NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL
);

CREATE TABLE mw_run (
    id            INTEGER PRIMARY KEY,
    run_id        TEXT    NOT NULL UNIQUE,
    experiment_id INTEGER NOT NULL REFERENCES mw_experiment (id),
    name          TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')),
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER,
    -- How much the run holds, kept by the writer: the limits of a run and the
    -- size of a page are decided without counting rows.
    n_params      INTEGER NOT NULL DEFAULT 0,
    n_tags        INTEGER NOT NULL DEFAULT 0,
    n_metrics     INTEGER NOT NULL DEFAULT 0,
    n_inputs      INTEGER NOT NULL DEFAULT 0,
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

CREATE TABLE mw_param (
    run   INTEGER NOT NULL REFERENCES mw_run (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

CREATE TABLE mw_tag (
    run   INTEGER NOT NULL REFERENCES mw_run (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

-- The primary key is the identity of a point and, read in order, the history
-- of a metric. NaN is value 0 with is_nan 1, because SQLite stores NaN as NULL.
-- The two tables of points have no foreign keys: checking them would cost a
-- third of the write.
CREATE TABLE mw_metric (
    run    INTEGER NOT NULL,
    key    INTEGER NOT NULL,
    ts_ms  INTEGER NOT NULL,
    step   INTEGER NOT NULL,
    value  REAL    NOT NULL,
    is_nan INTEGER NOT NULL,
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

CREATE TABLE mw_input (
    run     INTEGER NOT NULL REFERENCES mw_run (id),
    seq     INTEGER NOT NULL, -- order of logging, from 1
    dataset INTEGER NOT NULL REFERENCES mw_dataset (id),
    context TEXT    NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE INDEX mw_input_by_dataset ON mw_input (dataset, run);
