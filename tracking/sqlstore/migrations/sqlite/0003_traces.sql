-- Traces with their spans and assessments. ../postgres/0003_traces.sql is the
-- same schema.

CREATE TABLE mw_trace (
    id                INTEGER PRIMARY KEY,
    trace_id          TEXT    NOT NULL UNIQUE,
    experiment_id     INTEGER NOT NULL REFERENCES mw_experiment (id),
    client_request_id TEXT    NOT NULL,
    state             TEXT    NOT NULL,
    start_ms          INTEGER NOT NULL,
    duration_ms       INTEGER, -- NULL while it is not known
    request_preview   TEXT    NOT NULL,
    response_preview  TEXT    NOT NULL,
    put               INTEGER NOT NULL -- 0: all that is known comes from its spans
);
CREATE INDEX mw_trace_by_start ON mw_trace (experiment_id, start_ms DESC, trace_id);

CREATE TABLE mw_trace_tag (
    trace INTEGER NOT NULL REFERENCES mw_trace (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (trace, key)
) WITHOUT ROWID;
CREATE INDEX mw_trace_tag_by_value ON mw_trace_tag (key, value, trace);

CREATE TABLE mw_trace_metadata (
    trace INTEGER NOT NULL REFERENCES mw_trace (id),
    key   INTEGER NOT NULL REFERENCES mw_key (id),
    value TEXT    NOT NULL,
    PRIMARY KEY (trace, key)
) WITHOUT ROWID;
CREATE INDEX mw_trace_metadata_by_value ON mw_trace_metadata (key, value, trace);

CREATE TABLE mw_trace_run (
    trace INTEGER NOT NULL REFERENCES mw_trace (id),
    run   TEXT    NOT NULL, -- a run id
    PRIMARY KEY (trace, run)
) WITHOUT ROWID;
CREATE INDEX mw_trace_run_by_run ON mw_trace_run (run, trace);

-- The narrow columns repeat what the content says, for searching.
CREATE TABLE mw_span (
    id       INTEGER PRIMARY KEY,
    trace    INTEGER NOT NULL REFERENCES mw_trace (id),
    span_id  TEXT    NOT NULL,
    parent   TEXT    NOT NULL, -- empty at the root
    name     TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    status   TEXT    NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns   INTEGER NOT NULL,
    content  TEXT    NOT NULL, -- JSON
    UNIQUE (trace, span_id)
);
CREATE INDEX mw_span_by_name ON mw_span (name, trace);

CREATE TABLE mw_assessment (
    trace         INTEGER NOT NULL REFERENCES mw_trace (id),
    assessment_id TEXT    NOT NULL,
    span          TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    valid         INTEGER NOT NULL,
    value         TEXT    NOT NULL, -- JSON, empty when there is none
    value_text    TEXT,             -- what filters compare: the JSON, or what a JSON string holds
    value_number  REAL,
    rationale     TEXT    NOT NULL,
    source_type   TEXT    NOT NULL,
    source_id     TEXT    NOT NULL,
    error_code    TEXT    NOT NULL,
    error_message TEXT    NOT NULL,
    error_stack   TEXT    NOT NULL,
    metadata      TEXT    NOT NULL, -- a JSON object, or empty
    overrides     TEXT    NOT NULL,
    run           TEXT    NOT NULL,
    created_ms    INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL,
    PRIMARY KEY (trace, assessment_id)
);
CREATE INDEX mw_assessment_by_name ON mw_assessment (kind, name, trace);
