package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
	"github.com/millwright-ml/millwright/registry"
)

// server is one of the two.
type server struct {
	*rivals.Server
	// The run and the folder that versions are made of, once they are there.
	run, source string
}

const (
	seedStart = 1_700_000_000_000
	champion  = "champion"
	// firstID is that of our first model and version: some may be there.
	firstID = 1000
)

// seeded is the v-th version, from 1, of the i-th model in both databases.
type seeded struct {
	model, run, source, stage, checked, team string
	created                                  int64 // ms
}

func version(i, v, versions int) seeded {
	n := i*versions + v
	out := seeded{
		model: fmt.Sprintf("model-%05d", i), run: fmt.Sprintf("%032x", 0x1000+n), stage: registry.StageNone,
		checked: "passed", team: string(rune('a' + i%4)), created: seedStart + int64(n)*10,
	}
	out.source = "mlflow-artifacts:/0/" + out.run + "/artifacts/model"
	switch {
	case v == versions-1:
		out.stage = registry.StageProduction
	case v < versions-1:
		out.stage = registry.StageArchived
	}
	if n%7 == 0 {
		out.checked = "failed"
	}
	return out
}

// aliasAt is the version that has the alias champion.
func aliasAt(versions int) int { return max(1, versions-1) }

func (s *server) seed(ctx context.Context, c config) error {
	began := time.Now()
	defer func() {
		fmt.Printf("filled %s with %d versions in %.0f s\n", s.Name, c.models*c.versions, time.Since(began).Seconds())
	}()
	fill := fillOurs
	if s.Name == rivals.MLflow {
		fill = fillUpstream
	}
	return rivals.SeedTables(ctx, s.Backend, func(tx *sql.Tx) error { return fill(ctx, tx, c) })
}

// fillOurs leaves the audit log out: what is searched is the rest.
func fillOurs(ctx context.Context, tx *sql.Tx, c config) error {
	models := &rivals.Inserter{Tx: tx, Head: `INSERT INTO mw_reg_models (id, name, created_us, updated_us, latest, description) VALUES `}
	tags := &rivals.Inserter{Tx: tx, Head: `INSERT INTO mw_reg_model_tags (model_id, key, value) VALUES `}
	versions := &rivals.Inserter{Tx: tx, Head: `INSERT INTO mw_reg_versions (id, model_id, name, number, created_us, updated_us, run, stage, status,
		digest, framework, flavor, license, golden, logged_model, user_name, source, status_message, description, manifest) VALUES `}
	versionTags := &rivals.Inserter{Tx: tx, Head: `INSERT INTO mw_reg_version_tags (version_id, key, value) VALUES `}
	files := &rivals.Inserter{Tx: tx, Head: `INSERT INTO mw_reg_files (version_id, digest) VALUES `}
	aliases := &rivals.Inserter{Tx: tx, Head: `INSERT INTO mw_reg_aliases (model_id, alias, number, moved_us) VALUES `}
	grams := &rivals.Inserter{Tx: tx, Head: `INSERT INTO mw_reg_grams (gram, model_id) VALUES `}
	for i := range c.models {
		first, last := version(i, 1, c.versions), version(i, c.versions, c.versions)
		models.Add(ctx, `(%d,'%s',%d,%d,%d,'')`, firstID+i, first.model, first.created*1000, last.created*1000, c.versions)
	}
	if err := models.Flush(ctx); err != nil { // what follows refers to them
		return err
	}
	for i := range c.models {
		for v := 1; v <= c.versions; v++ {
			x := version(i, v, c.versions)
			list := x.files()
			versions.Add(ctx, `(%d,%d,'%s',%d,%d,%d,'%s','%s','READY','%s','','','','','','','%s','','','%s')`, firstID+i*c.versions+v, firstID+i, x.model, v,
				x.created*1000, x.created*1000, x.run, x.stage, registry.ManifestDigest(list), x.source, registry.EncodeManifest(list))
		}
	}
	if err := versions.Flush(ctx); err != nil {
		return err
	}
	for i := range c.models {
		for v := 1; v <= c.versions; v++ {
			x := version(i, v, c.versions)
			versionTags.Add(ctx, `(%d,'validation','%s')`, firstID+i*c.versions+v, x.checked)
			for _, f := range x.files() {
				files.Add(ctx, `(%d,'%s')`, firstID+i*c.versions+v, f.SHA256)
			}
		}
		first := version(i, 1, c.versions)
		tags.Add(ctx, `(%d,'team','%s')`, firstID+i, first.team)
		seen := map[string]bool{}
		for k := range len(first.model) - 2 {
			if gram := first.model[k : k+3]; !seen[gram] {
				seen[gram] = true
				grams.Add(ctx, `('%s',%d)`, gram, firstID+i)
			}
		}
		aliases.Add(ctx, `(%d,'%s',%d,%d)`, firstID+i, champion, aliasAt(c.versions), first.created*1000)
	}
	for _, in := range []*rivals.Inserter{tags, versionTags, files, aliases, grams} {
		if err := in.Flush(ctx); err != nil {
			return err
		}
	}
	if !strings.HasPrefix(c.postgres, "postgres") {
		return nil
	}
	// The rows have their ids from here.
	for _, table := range []string{"mw_reg_models", "mw_reg_versions"} {
		if _, err := tx.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence('`+table+`', 'id'), (SELECT max(id) FROM `+table+`))`); err != nil {
			return err
		}
	}
	return nil
}

// files are those of a logged model.
func (x *seeded) files() []registry.File {
	var out []registry.File
	for _, path := range []string{"MLmodel", "conda.yaml", "model.skops", "python_env.yaml", "requirements.txt"} {
		sum := sha256.Sum256([]byte(x.run + path))
		out = append(out, registry.File{Path: path, Size: 1000, SHA256: hex.EncodeToString(sum[:])})
	}
	return out
}

func fillUpstream(ctx context.Context, tx *sql.Tx, c config) error {
	models := &rivals.Inserter{Tx: tx, Head: `INSERT INTO registered_models (name, creation_time, last_updated_time, description) VALUES `}
	tags := &rivals.Inserter{Tx: tx, Head: `INSERT INTO registered_model_tags (name, key, value) VALUES `}
	versions := &rivals.Inserter{Tx: tx, Head: `INSERT INTO model_versions (name, version, creation_time, last_updated_time, current_stage, source, storage_location, run_id, status) VALUES `}
	versionTags := &rivals.Inserter{Tx: tx, Head: `INSERT INTO model_version_tags (name, version, key, value) VALUES `}
	aliases := &rivals.Inserter{Tx: tx, Head: `INSERT INTO registered_model_aliases (name, alias, version) VALUES `}
	for i := range c.models {
		first, last := version(i, 1, c.versions), version(i, c.versions, c.versions)
		models.Add(ctx, `('%s',%d,%d,'')`, first.model, first.created, last.created)
	}
	if err := models.Flush(ctx); err != nil { // what follows refers to them
		return err
	}
	for i := range c.models {
		for v := 1; v <= c.versions; v++ {
			x := version(i, v, c.versions)
			versions.Add(ctx, `('%s',%d,%d,%d,'%s','%s','%s','%s','READY')`, x.model, v, x.created, x.created, x.stage, x.source, x.source, x.run)
		}
	}
	if err := versions.Flush(ctx); err != nil {
		return err
	}
	for i := range c.models {
		for v := 1; v <= c.versions; v++ {
			x := version(i, v, c.versions)
			versionTags.Add(ctx, `('%s',%d,'validation','%s')`, x.model, v, x.checked)
		}
		first := version(i, 1, c.versions)
		tags.Add(ctx, `('%s','team','%s')`, first.model, first.team)
		aliases.Add(ctx, `('%s','%s',%d)`, first.model, champion, aliasAt(c.versions))
	}
	for _, in := range []*rivals.Inserter{tags, versionTags, aliases} {
		if err := in.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}
