-- Models, their versions and aliases, and the audit log. Times end in _us and are
-- microseconds since 1970 UTC. ../postgres/0001_registry.sql is the same schema.

-- The model row hands out numbers: latest is the highest ever given, so that a
-- number is not used again whatever happens to its version.
CREATE TABLE mw_reg_models (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- ids are not given out twice
    name        TEXT    NOT NULL UNIQUE,
    created_us  INTEGER NOT NULL,
    updated_us  INTEGER NOT NULL,
    deleted_us  INTEGER,
    latest      INTEGER NOT NULL,
    description TEXT    NOT NULL
);
CREATE INDEX mw_reg_models_by_update ON mw_reg_models (updated_us DESC, name);

CREATE TABLE mw_reg_model_tags (
    model_id INTEGER NOT NULL REFERENCES mw_reg_models (id),
    key      TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    PRIMARY KEY (model_id, key)
) WITHOUT ROWID;
CREATE INDEX mw_reg_model_tags_by_value ON mw_reg_model_tags (key, value, model_id);

-- name is that of the model, again, for the orders by it. manifest is the text
-- of registry.EncodeManifest, whose identity is digest. JSON that is empty is
-- NULL. The long columns come last.
CREATE TABLE mw_reg_versions (
    id             INTEGER PRIMARY KEY,
    model_id       INTEGER NOT NULL REFERENCES mw_reg_models (id),
    name           TEXT    NOT NULL,
    number         INTEGER NOT NULL,
    created_us     INTEGER NOT NULL,
    updated_us     INTEGER NOT NULL,
    deleted_us     INTEGER,
    run            TEXT    NOT NULL,
    stage          TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    idem_key       TEXT,
    digest         TEXT    NOT NULL,
    framework      TEXT    NOT NULL,
    flavor         TEXT    NOT NULL,
    license        TEXT    NOT NULL,
    golden         TEXT    NOT NULL,
    logged_model   TEXT    NOT NULL,
    user_name      TEXT    NOT NULL,
    source         TEXT    NOT NULL,
    code           TEXT,
    status_message TEXT    NOT NULL,
    description    TEXT    NOT NULL,
    datasets       TEXT,
    metrics        TEXT,
    signed         TEXT,
    signature      TEXT,
    manifest       TEXT    NOT NULL
);
CREATE UNIQUE INDEX mw_reg_versions_number ON mw_reg_versions (model_id, number);
CREATE UNIQUE INDEX mw_reg_versions_idem   ON mw_reg_versions (model_id, idem_key) WHERE idem_key IS NOT NULL;
CREATE INDEX mw_reg_versions_by_name   ON mw_reg_versions (name, number DESC);
CREATE INDEX mw_reg_versions_by_update ON mw_reg_versions (updated_us DESC, name, number DESC);
CREATE INDEX mw_reg_versions_by_stage  ON mw_reg_versions (model_id, stage, number) WHERE deleted_us IS NULL;
CREATE INDEX mw_reg_versions_by_run    ON mw_reg_versions (run);

CREATE TABLE mw_reg_version_tags (
    version_id INTEGER NOT NULL REFERENCES mw_reg_versions (id),
    key        TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    PRIMARY KEY (version_id, key)
) WITHOUT ROWID;
CREATE INDEX mw_reg_version_tags_by_value ON mw_reg_version_tags (key, value, version_id);

-- The objects that versions need: the digests of their manifests.
CREATE TABLE mw_reg_files (
    version_id INTEGER NOT NULL REFERENCES mw_reg_versions (id),
    digest     TEXT    NOT NULL,
    PRIMARY KEY (version_id, digest)
) WITHOUT ROWID;
CREATE INDEX mw_reg_files_by_digest ON mw_reg_files (digest);

CREATE TABLE mw_reg_aliases (
    model_id INTEGER NOT NULL REFERENCES mw_reg_models (id),
    alias    TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    moved_us INTEGER NOT NULL,
    PRIMARY KEY (model_id, alias),
    FOREIGN KEY (model_id, number) REFERENCES mw_reg_versions (model_id, number)
) WITHOUT ROWID;

-- Append-only, and each row hashes the one before: see registry.Entry.Seal. A
-- model keeps its log when it is renamed or purged.
CREATE TABLE mw_reg_audit (
    seq         INTEGER PRIMARY KEY,
    model_id    INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    time_us     INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    alias       TEXT    NOT NULL,
    from_number INTEGER NOT NULL,
    to_number   INTEGER NOT NULL,
    made_by     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    evidence    TEXT,
    prev        TEXT    NOT NULL,
    hash        TEXT    NOT NULL
);
CREATE INDEX mw_reg_audit_by_model ON mw_reg_audit (model_id, seq);
CREATE INDEX mw_reg_audit_by_alias ON mw_reg_audit (model_id, alias, seq);

-- The last entry, in one row that writers lock in turn.
CREATE TABLE mw_reg_audit_head (
    id   INTEGER PRIMARY KEY,
    seq  INTEGER NOT NULL,
    hash TEXT    NOT NULL
);
INSERT INTO mw_reg_audit_head (id, seq, hash) VALUES (1, 0, '');

-- What purged models were called last.
CREATE TABLE mw_reg_purged (
    model_id INTEGER NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL
);
CREATE INDEX mw_reg_purged_by_name ON mw_reg_purged (name);

-- Objects that uploads are about to need, and those that collectors delete.
CREATE TABLE mw_reg_leases (
    token    TEXT    NOT NULL PRIMARY KEY,
    until_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE mw_reg_lease_digests (
    token  TEXT NOT NULL REFERENCES mw_reg_leases (token),
    digest TEXT NOT NULL,
    PRIMARY KEY (token, digest)
) WITHOUT ROWID;
CREATE INDEX mw_reg_lease_digests_by_digest ON mw_reg_lease_digests (digest);
CREATE TABLE mw_reg_condemned (
    digest   TEXT    NOT NULL PRIMARY KEY,
    token    TEXT    NOT NULL,
    until_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX mw_reg_condemned_by_time ON mw_reg_condemned (until_us);
