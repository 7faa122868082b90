-- The model row hands out numbers: latest is the highest ever given, so that
-- a number is not used again whatever happens to its version.
CREATE TABLE mw_reg_models (
	id         INTEGER PRIMARY KEY,
	name       TEXT    NOT NULL UNIQUE,
	created_us INTEGER NOT NULL,
	latest     INTEGER NOT NULL
);

-- manifest is the canonical text of registry.EncodeManifest; digest is its
-- identity. Columns that end in _us are microseconds since 1970, UTC.
CREATE TABLE mw_reg_versions (
	id         INTEGER PRIMARY KEY,
	model_id   INTEGER NOT NULL REFERENCES mw_reg_models (id),
	number     INTEGER NOT NULL,
	created_us INTEGER NOT NULL,
	digest     TEXT    NOT NULL,
	manifest   BLOB    NOT NULL,
	idem_key   TEXT,
	framework  TEXT    NOT NULL,
	flavor     TEXT    NOT NULL,
	run        TEXT    NOT NULL,
	signature  TEXT,
	datasets   TEXT,
	metrics    TEXT,
	tags       TEXT,
	UNIQUE (model_id, number)
);
CREATE UNIQUE INDEX mw_reg_versions_key ON mw_reg_versions (model_id, idem_key) WHERE idem_key IS NOT NULL;

CREATE TABLE mw_reg_aliases (
	model_id INTEGER NOT NULL REFERENCES mw_reg_models (id),
	alias    TEXT    NOT NULL,
	number   INTEGER NOT NULL,
	moved_us INTEGER NOT NULL,
	PRIMARY KEY (model_id, alias),
	FOREIGN KEY (model_id, number) REFERENCES mw_reg_versions (model_id, number)
) WITHOUT ROWID;

-- Append-only. from_number and to_number are 0 for none.
CREATE TABLE mw_reg_moves (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	model_id    INTEGER NOT NULL REFERENCES mw_reg_models (id),
	alias       TEXT    NOT NULL,
	moved_us    INTEGER NOT NULL,
	from_number INTEGER NOT NULL,
	to_number   INTEGER NOT NULL,
	moved_by    TEXT    NOT NULL,
	reason      TEXT    NOT NULL,
	evidence    TEXT
);
CREATE INDEX mw_reg_moves_model ON mw_reg_moves (model_id, seq);
CREATE INDEX mw_reg_moves_alias ON mw_reg_moves (model_id, alias, seq);
