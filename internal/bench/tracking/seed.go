package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

const (
	perRun    = 20 // params, and metrics
	seedStart = 1_700_000_000_000
	longRun   = "00000000000000000000000000000abc"
)

// seededRun is the i-th run of both databases.
func seededRun(i int) (id string, params, metrics [perRun]string, values [perRun]float64, team string) {
	for k := range perRun {
		params[k] = fmt.Sprintf("%d-%d", k, i%(20+k))
		metrics[k] = fmt.Sprintf("m%d", k)
		values[k] = float64((uint64(i)*2654435761+uint64(k)*40503)%1_000_003) / 1_000_003
	}
	return fmt.Sprintf("%032x", i+0x1000), params, metrics, values, string(rune('a' + i%4))
}

func (s *server) seed(ctx context.Context, c config) error {
	s.longRun = longRun
	if s.Name == rivals.MLflow {
		return s.seedUpstream(ctx, c)
	}
	store, err := sqlstore.Open(ctx, s.Backend, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	e, err := store.CreateExperiment(ctx, tracking.Experiment{Name: "search", Created: time.UnixMilli(seedStart)})
	if err != nil {
		return err
	}
	s.experiment = string(e.ID)
	var wg sync.WaitGroup
	const workers = 8
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < c.runs && errs[w] == nil; i += workers {
				id, params, metrics, values, team := seededRun(i)
				_, err := store.CreateRun(ctx, tracking.RunInfo{ID: tracking.RunID(id), Experiment: e.ID, Name: "run", Status: tracking.Finished, Start: time.UnixMilli(seedStart + int64(i))})
				b := tracking.Batch{Params: map[string]string{}, Tags: map[string]string{"team": team}}
				for k := range perRun {
					b.Params[fmt.Sprintf("p%d", k)] = params[k]
					b.Metrics = append(b.Metrics, tracking.Metric{Key: metrics[k], Value: values[k], Time: time.UnixMilli(seedStart)})
				}
				if err == nil {
					err = store.LogBatch(ctx, tracking.RunID(id), b)
				}
				errs[w] = err
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if _, err := store.CreateRun(ctx, tracking.RunInfo{ID: longRun, Experiment: e.ID, Name: "long", Status: tracking.Finished, Start: time.UnixMilli(seedStart)}); err != nil {
		return err
	}
	for step := 0; step < c.points; step += 1000 {
		var b tracking.Batch
		for i := step; i < min(step+1000, c.points); i++ {
			b.Metrics = append(b.Metrics, tracking.Metric{Key: "long", Value: float64(i%977) / 977, Step: int64(i), Time: time.UnixMilli(seedStart + int64(i)*10)})
		}
		if err := store.LogBatch(ctx, longRun, b); err != nil {
			return err
		}
	}
	return nil
}

// seedUpstream writes MLflow's tables, which its server made, by many rows a
// statement.
func (s *server) seedUpstream(ctx context.Context, c config) error {
	s.experiment = "77"
	return rivals.SeedTables(ctx, s.Backend, func(tx *sql.Tx) error { return fillUpstream(ctx, tx, c) })
}

func fillUpstream(ctx context.Context, tx *sql.Tx, c config) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time) VALUES (77, 'search', 'mlflow-artifacts:/77', 'active', 0, 0)`); err != nil {
		return err
	}
	rows := map[string]*rivals.Inserter{
		"runs":    {Tx: tx, Head: `INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id) VALUES `},
		"params":  {Tx: tx, Head: `INSERT INTO params (key, value, run_uuid) VALUES `},
		"tags":    {Tx: tx, Head: `INSERT INTO tags (key, value, run_uuid) VALUES `},
		"metrics": {Tx: tx, Head: `INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES `},
		"latest":  {Tx: tx, Head: `INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES `},
	}
	run := func(id, name string, start int64) {
		rows["runs"].Add(ctx, `('%s','%s','LOCAL','bench','FINISHED',%d,%d,'active','mlflow-artifacts:/77/%s/artifacts',77)`, id, name, start, start+1, id)
	}
	for i := range c.runs {
		id, _, _, _, _ := seededRun(i)
		run(id, "run", seedStart+int64(i))
	}
	run(longRun, "long", seedStart)
	if err := rows["runs"].Flush(ctx); err != nil { // what follows refers to them
		return err
	}
	for i := range c.runs {
		id, params, metrics, values, team := seededRun(i)
		rows["tags"].Add(ctx, `('team','%s','%s')`, team, id)
		for k := range perRun {
			rows["params"].Add(ctx, `('p%d','%s','%s')`, k, params[k], id)
			rows["metrics"].Add(ctx, `('%s',%v,%d,'%s',0,false)`, metrics[k], values[k], int64(seedStart), id)
			rows["latest"].Add(ctx, `('%s',%v,%d,'%s',0,false)`, metrics[k], values[k], int64(seedStart), id)
		}
	}
	for i := range c.points {
		rows["metrics"].Add(ctx, `('long',%v,%d,'%s',%d,false)`, float64(i%977)/977, int64(seedStart+i*10), longRun, i)
	}
	rows["latest"].Add(ctx, `('long',0.5,%d,'%s',%d,false)`, int64(seedStart+c.points*10), longRun, c.points-1)
	for _, name := range []string{"runs", "params", "tags", "metrics", "latest"} {
		if err := rows[name].Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}
