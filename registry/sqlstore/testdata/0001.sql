CREATE TABLE mw_migrations (
			line       TEXT    NOT NULL,
			version    INTEGER NOT NULL,
			name       TEXT    NOT NULL,
			applied_ms INTEGER NOT NULL,
			PRIMARY KEY (line, version)
		) WITHOUT ROWID;
CREATE TABLE mw_reg_aliases (
	model_id INTEGER NOT NULL REFERENCES mw_reg_models (id),
	alias    TEXT    NOT NULL,
	number   INTEGER NOT NULL,
	moved_us INTEGER NOT NULL,
	PRIMARY KEY (model_id, alias),
	FOREIGN KEY (model_id, number) REFERENCES mw_reg_versions (model_id, number)
) WITHOUT ROWID;
CREATE TABLE mw_reg_models (
	id         INTEGER PRIMARY KEY,
	name       TEXT    NOT NULL UNIQUE,
	created_us INTEGER NOT NULL,
	latest     INTEGER NOT NULL
);
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
CREATE INDEX mw_reg_moves_model ON mw_reg_moves (model_id, seq);
CREATE INDEX mw_reg_moves_alias ON mw_reg_moves (model_id, alias, seq);
INSERT INTO "mw_migrations" VALUES('registry',1,'0001_registry.sql',0);
INSERT INTO "mw_reg_models" VALUES(1,'fraud',1772366400000001,2);
INSERT INTO "mw_reg_versions" VALUES(1,1,1,1772366400000001,'sha256:9fa55b71c0be9ff73c786d61a7f7853b07fab7fbba750abfaac595f99fac7296',X'6D696C6C7772696768742D6D616E696665737420310A306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130612031206D6F64656C2E62696E0A',NULL,'','','',NULL,NULL,NULL,NULL);
INSERT INTO "mw_reg_versions" VALUES(2,1,2,1772366400000002,'sha256:76c6a7073140c76532e6fad57f1b67f1235240c49684782d65380251056becf0',X'6D696C6C7772696768742D6D616E696665737420310A306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130613061306130612031206D6F64656C2E62696E0A6666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666666620313039393531313632373737362070726F66696C652E6A736F6E0A','key-2','xgboost 2.1','xgboost-json','run-1','{"inputs":[]}','[{"name":"payments","version":"12","digest":"sha256:ab","context":"training"}]','{"auc":0.91}','{"team":"risk"}');
INSERT INTO "mw_reg_aliases" VALUES(1,'champion',2,1772366400000004);
INSERT INTO "mw_reg_moves" VALUES(1,1,'champion',1772366400000003,0,1,'','',NULL);
INSERT INTO "mw_reg_moves" VALUES(2,1,'champion',1772366400000004,1,2,'retrain','better','{"auc":0.91}');
