package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry/webhook"
)

const (
	// sweepAtOnce is how many events one Sweep touches for each reason.
	sweepAtOnce = 1000
	// maxBatchBytes bounds what Pending reads beyond its first event.
	maxBatchBytes = 1 << 20
)

// claimable is the condition that a webhook w may be claimed at ?1.
const claimable = `w.status = 'ACTIVE' AND w.due_us <= ?1 AND w.until_us <= ?1
	AND EXISTS (SELECT 1 FROM mw_reg_outbox o WHERE o.webhook_id = w.id AND o.failed_us IS NULL)`

// Claim implements webhook.Store.
func (s *Store) Claim(ctx context.Context, owner string, now, until time.Time, limit int) (ids []string, err error) {
	collect := func(tx *sqldb.Tx, query string, args ...any) error {
		ids = nil
		return eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	}
	// Mostly there is nothing to do, and to see that needs no transaction that
	// writes.
	find := `SELECT w.id FROM mw_reg_webhooks w WHERE ` + claimable + ` ORDER BY w.until_us, w.id LIMIT ?2`
	err = s.read(ctx, func(tx *sqldb.Tx) error { return collect(tx, find, micros(now), limit) })
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	found := s.dialect.Texts(ids)
	err = s.write(ctx, func(tx *writing) error {
		// Who claims at the same time waits for the row and looks again.
		return collect(tx.Tx, `
			UPDATE mw_reg_webhooks SET owner = ?, until_us = ?
			WHERE `+s.dialect.In("id")+` AND status = 'ACTIVE' AND due_us <= ? AND until_us <= ? RETURNING id`,
			owner, micros(until), found, micros(now), micros(now))
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// prolong moves the end of a lease; false when it is not held any more.
func (w *writing) prolong(ctx context.Context, l webhook.Lease) (held bool, err error) {
	result, err := w.ExecContext(ctx, `UPDATE mw_reg_webhooks SET until_us = ? WHERE id = ? AND owner = ?`, micros(l.Until), l.Webhook, l.Owner)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Pending implements webhook.Store.
func (s *Store) Pending(ctx context.Context, l webhook.Lease, limit int) (r webhook.Record, list []webhook.Delivery, err error) {
	err = s.write(ctx, func(tx *writing) (err error) {
		held, err := tx.prolong(ctx, l)
		if err != nil {
			return err
		}
		if r, err = oneWebhook(ctx, tx.Tx, l.Webhook); err != nil {
			return err
		}
		if !held {
			return webhook.ErrConflict
		}
		list = nil
		if r.Status != webhook.Active {
			return nil
		}
		list, err = deliveries(ctx, tx.Tx, `webhook_id = ? AND failed_us IS NULL ORDER BY number LIMIT ?`, l.Webhook, limit)
		return err
	})
	if err != nil {
		return webhook.Record{}, nil, err
	}
	return r, list, nil
}

var errEnough = errors.New("enough")

// deliveries reads events, up to a bound on their bytes.
func deliveries(ctx context.Context, tx *sqldb.Tx, cond string, args ...any) (list []webhook.Delivery, err error) {
	size := 0
	query := `SELECT number, event, event_id, time_us, attempts, failed_us, last_error, body FROM mw_reg_outbox WHERE ` + cond
	err = eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var d webhook.Delivery
		var at int64
		var failed sql.NullInt64
		if err := rows.Scan(&d.Number, &d.Event, &d.EventID, &at, &d.Attempts, &failed, &d.LastError, &d.Body); err != nil {
			return err
		}
		d.Time = fromMicros(at)
		if failed.Valid {
			d.FailedAt = fromMicros(failed.Int64)
		}
		list = append(list, d)
		if size += len(d.Body); size > maxBatchBytes {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return list, err
}

// Settle implements webhook.Store.
func (s *Store) Settle(ctx context.Context, l webhook.Lease, number int64, o webhook.Outcome) (held bool, err error) {
	err = s.write(ctx, func(tx *writing) error {
		// The webhook comes before its events, for everyone: nobody waits in a
		// circle.
		var err error
		if held, err = tx.prolong(ctx, l); err != nil {
			return err
		}
		if o.Delivered {
			_, err = tx.ExecContext(ctx, `DELETE FROM mw_reg_outbox WHERE number = ? AND webhook_id = ?`, number, l.Webhook)
		} else {
			var failed sql.NullInt64
			if o.Failed {
				failed = sql.NullInt64{Int64: micros(o.Time), Valid: true}
			}
			_, err = tx.ExecContext(ctx, `
				UPDATE mw_reg_outbox SET attempts = attempts + 1, last_error = ?, failed_us = COALESCE(failed_us, ?)
				WHERE number = ? AND webhook_id = ?`, o.Error, failed, number, l.Webhook)
		}
		if err != nil || !held {
			return err
		}
		var updated int64
		err = tx.QueryRowContext(ctx, `SELECT updated_us FROM mw_reg_webhooks WHERE id = ?`, l.Webhook).Scan(&updated)
		held = updated == micros(l.Seen)
		return err
	})
	return held && err == nil, err
}

// Release implements webhook.Store.
func (s *Store) Release(ctx context.Context, l webhook.Lease, now, due time.Time) error {
	return s.write(ctx, func(tx *writing) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE mw_reg_webhooks SET owner = '', until_us = ?, due_us = CASE WHEN updated_us = ? THEN CAST(? AS bigint) ELSE due_us END
			WHERE id = ? AND owner = ?`, micros(now), micros(l.Seen), micros(due), l.Webhook, l.Owner)
		return err
	})
}

// Failed implements webhook.Store.
func (s *Store) Failed(ctx context.Context, id string, after int64, limit int) (list []webhook.Delivery, err error) {
	err = s.db.View(ctx, func(tx *sqldb.Tx) (err error) {
		if err := tx.QueryRowContext(ctx, `SELECT id FROM mw_reg_webhooks WHERE id = ?`, id).Scan(&id); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				err = webhook.ErrNotFound
			}
			return err
		}
		list, err = deliveries(ctx, tx, `webhook_id = ? AND failed_us IS NOT NULL AND number > ? ORDER BY number LIMIT ?`, id, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Requeue implements webhook.Store.
func (s *Store) Requeue(ctx context.Context, id string, now time.Time) (n int, err error) {
	queued := false
	err = s.write(ctx, func(tx *writing) error {
		if err := changedOne(tx.ExecContext(ctx, `UPDATE mw_reg_webhooks SET due_us = 0 WHERE id = ?`, id)); err != nil {
			return err
		}
		// New numbers, so that they come behind what is queued.
		result, err := tx.ExecContext(ctx, `
			INSERT INTO mw_reg_outbox (webhook_id, event, event_id, time_us, attempts, last_error, body)
			SELECT webhook_id, event, event_id, CAST(? AS bigint), 0, '', body FROM mw_reg_outbox
			WHERE webhook_id = ? AND failed_us IS NOT NULL ORDER BY number`, micros(now), id)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return err
		}
		n, queued = int(rows), rows > 0
		_, err = tx.ExecContext(ctx, `DELETE FROM mw_reg_outbox WHERE webhook_id = ? AND failed_us IS NOT NULL`, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	if queued {
		s.queued.ring()
	}
	return n, nil
}

// Sweep implements webhook.Store.
func (s *Store) Sweep(ctx context.Context, l webhook.Limits) (more bool, err error) {
	// What there is to do is looked for without keeping writers from the file.
	var crowded []string
	idle := false
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		crowded = nil
		err := eachRow(ctx, tx, `SELECT webhook_id FROM mw_reg_outbox WHERE failed_us IS NULL GROUP BY webhook_id HAVING COUNT(*) > ?`,
			[]any{l.Pending}, func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				crowded = append(crowded, id)
				return err
			})
		if err != nil {
			return err
		}
		var n int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM (
			SELECT 1 FROM mw_reg_outbox o WHERE o.failed_us IS NULL AND o.time_us < ?
			UNION ALL SELECT 1 FROM mw_reg_outbox o WHERE o.failed_us < ?
			UNION ALL SELECT 1 FROM mw_reg_outbox o WHERE NOT EXISTS (SELECT 1 FROM mw_reg_webhooks w WHERE w.id = o.webhook_id)
			LIMIT 1) x`, micros(l.Expire), micros(l.Forget)).Scan(&n)
		idle = n == 0 && len(crowded) == 0
		return err
	})
	if err != nil || idle {
		return false, err
	}
	err = s.write(ctx, func(tx *writing) error {
		more = false
		step := func(text string, args ...any) error {
			result, err := tx.ExecContext(ctx, text, args...)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			more = more || n >= sweepAtOnce
			return err
		}
		const giveUp = `UPDATE mw_reg_outbox SET failed_us = ?, last_error = CASE last_error WHEN '' THEN '' ELSE last_error || '; ' END || `
		err := step(`DELETE FROM mw_reg_outbox WHERE number IN (SELECT o.number FROM mw_reg_outbox o
			WHERE NOT EXISTS (SELECT 1 FROM mw_reg_webhooks w WHERE w.id = o.webhook_id) LIMIT ?)`, sweepAtOnce)
		if err == nil {
			err = step(`DELETE FROM mw_reg_outbox WHERE number IN (SELECT number FROM mw_reg_outbox WHERE failed_us < ? LIMIT ?)`,
				micros(l.Forget), sweepAtOnce)
		}
		if err == nil {
			err = step(giveUp+`'it was not delivered in time' WHERE number IN (
				SELECT number FROM mw_reg_outbox WHERE failed_us IS NULL AND time_us < ? ORDER BY time_us LIMIT ?)`,
				micros(l.Now), micros(l.Expire), sweepAtOnce)
		}
		for i := 0; i < len(crowded) && err == nil; i++ {
			err = step(giveUp+`'too many events were queued after it' WHERE number IN (
				SELECT number FROM mw_reg_outbox WHERE webhook_id = ? AND failed_us IS NULL AND number <= (
					SELECT number FROM mw_reg_outbox WHERE webhook_id = ? AND failed_us IS NULL ORDER BY number DESC LIMIT 1 OFFSET ?)
				ORDER BY number LIMIT ?)`,
				micros(l.Now), crowded[i], crowded[i], l.Pending, sweepAtOnce)
		}
		return err
	})
	return more && err == nil, err
}
