package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/webhook"
)

var (
	_ webhook.Store = (*Store)(nil)
	_ webhook.Waker = (*Store)(nil)
)

// tokenWebhooks is the kind of the page tokens of Webhooks.
const tokenWebhooks = 'w'

// CreateWebhook implements webhook.Store.
func (s *Store) CreateWebhook(ctx context.Context, r webhook.Record, most int) error {
	return s.write(ctx, func(tx *writing) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_reg_webhooks`).Scan(&n); err != nil {
			return err
		}
		if n >= most {
			return fmt.Errorf("there are %d webhooks already, which is as many as there may be: %w", n, webhook.ErrInvalid)
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO mw_reg_webhooks (id, name, description, url, secret, status, created_us, updated_us, owner, until_us, due_us)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0)`,
			r.ID, r.Name, r.Description, r.URL, r.Secret, string(r.Status), micros(r.Created), micros(r.Updated))
		if err != nil {
			return err
		}
		return tx.subscribe(ctx, r.ID, r.Events)
	})
}

// subscribe sets what a webhook is told of.
func (w *writing) subscribe(ctx context.Context, id string, events []webhook.Event) error {
	if _, err := w.ExecContext(ctx, `DELETE FROM mw_reg_webhook_events WHERE webhook_id = ?`, id); err != nil {
		return err
	}
	for _, e := range events {
		if _, err := w.ExecContext(ctx, `INSERT INTO mw_reg_webhook_events (event, webhook_id) VALUES (?, ?)`, string(e), id); err != nil {
			return err
		}
	}
	return nil
}

// UpdateWebhook implements webhook.Store.
func (s *Store) UpdateWebhook(ctx context.Context, id string, u webhook.RecordUpdate) (r webhook.Record, err error) {
	var status *string
	if u.Status != nil {
		text := string(*u.Status)
		status = &text
	}
	err = s.write(ctx, func(tx *writing) error {
		result, err := tx.ExecContext(ctx, `
			UPDATE mw_reg_webhooks SET name = COALESCE(?, name), description = COALESCE(?, description), url = COALESCE(?, url),
				secret = COALESCE(?, secret), status = COALESCE(?, status), due_us = 0,
				updated_us = CASE WHEN updated_us < ?6 THEN CAST(?6 AS bigint) ELSE updated_us + 1 END
			WHERE id = ?7`, u.Name, u.Description, u.URL, u.Secret, status, micros(u.Time), id)
		if err := changedOne(result, err); err != nil {
			return err
		}
		if len(u.Events) > 0 {
			if err := tx.subscribe(ctx, id, u.Events); err != nil {
				return err
			}
		}
		r, err = oneWebhook(ctx, tx.Tx, id)
		return err
	})
	if err != nil {
		return webhook.Record{}, err
	}
	return r, nil
}

// changedOne is ErrNotFound when a statement met no row.
func changedOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = webhook.ErrNotFound
	}
	return err
}

// DeleteWebhook implements webhook.Store.
func (s *Store) DeleteWebhook(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *writing) error {
		// Changed, and so locked, before what depends on it.
		err := changedOne(tx.ExecContext(ctx, `UPDATE mw_reg_webhooks SET owner = '' WHERE id = ?`, id))
		for _, text := range []string{
			`DELETE FROM mw_reg_webhook_events WHERE webhook_id = ?`,
			`DELETE FROM mw_reg_webhooks WHERE id = ?`,
			`DELETE FROM mw_reg_outbox WHERE webhook_id = ?`,
		} {
			if err == nil {
				_, err = tx.ExecContext(ctx, text, id)
			}
		}
		return err
	})
}

// Webhook implements webhook.Store.
func (s *Store) Webhook(ctx context.Context, id string) (r webhook.Record, err error) {
	err = s.read(ctx, func(tx *sqldb.Tx) (err error) {
		r, err = oneWebhook(ctx, tx, id)
		return err
	})
	if err != nil {
		return webhook.Record{}, err
	}
	return r, nil
}

// webhookColumns are read by scanWebhook. The names of events hold no comma.
func webhookColumns(d sqldb.Dialect) string {
	list := "group_concat(e.event)"
	if d == sqldb.Postgres {
		list = "string_agg(e.event, ',')"
	}
	return `SELECT w.id, w.name, w.description, w.url, w.secret, w.status, w.created_us, w.updated_us,
		(SELECT ` + list + ` FROM mw_reg_webhook_events e WHERE e.webhook_id = w.id) FROM mw_reg_webhooks w `
}

func oneWebhook(ctx context.Context, tx *sqldb.Tx, id string) (webhook.Record, error) {
	r, err := scanWebhook(tx.QueryRowContext(ctx, webhookColumns(tx.Dialect())+`WHERE w.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = webhook.ErrNotFound
	}
	return r, err
}

func scanWebhook(row scanner) (r webhook.Record, err error) {
	var created, updated int64
	var events sql.NullString
	err = row.Scan(&r.ID, &r.Name, &r.Description, &r.URL, &r.Secret, &r.Status, &created, &updated, &events)
	r.Created, r.Updated, r.Signed = fromMicros(created), fromMicros(updated), r.Secret != ""
	if events.Valid {
		for e := range strings.SplitSeq(events.String, ",") {
			r.Events = append(r.Events, webhook.Event(e))
		}
		slices.Sort(r.Events)
	}
	return r, err
}

// Webhooks implements webhook.Store.
func (s *Store) Webhooks(ctx context.Context, limit int, token string) (page []webhook.Record, next string, err error) {
	sum := sqlsearch.QuerySum(tokenWebhooks)
	place, err := sqlsearch.Open(tokenWebhooks, sum, token, func(p sqlsearch.Place) bool {
		if p.Stage != 0 || len(p.Values) != 2 {
			return false
		}
		_, number := p.Values[0].(int64)
		_, text := p.Values[1].(string)
		return number && text
	})
	if err != nil {
		return nil, "", err
	}
	query, args := webhookColumns(s.dialect), []any{limit + 1}
	if place != nil {
		query += `WHERE (w.created_us, w.id) < (?, ?) `
		args = []any{place.Values[0], place.Values[1], limit + 1}
	}
	err = s.read(ctx, func(tx *sqldb.Tx) error {
		page = nil
		return eachRow(ctx, tx, query+`ORDER BY w.created_us DESC, w.id DESC LIMIT ?`, args, func(rows *sql.Rows) error {
			r, err := scanWebhook(rows)
			page = append(page, r)
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > limit {
		page = page[:limit]
		last := page[limit-1]
		next = sqlsearch.Seal(tokenWebhooks, sum, sqlsearch.Place{Values: []any{micros(last.Created), last.ID}})
	}
	return page, next, nil
}

// Backlog implements webhook.Store.
func (s *Store) Backlog(ctx context.Context, id string) (b webhook.Backlog, err error) {
	err = s.read(ctx, func(tx *sqldb.Tx) error {
		var oldest sql.NullInt64
		err := tx.QueryRowContext(ctx, `
			SELECT COUNT(o.number) - COUNT(o.failed_us), COUNT(o.failed_us), MIN(CASE WHEN o.failed_us IS NULL THEN o.time_us END)
			FROM mw_reg_webhooks w LEFT JOIN mw_reg_outbox o ON o.webhook_id = w.id WHERE w.id = ? GROUP BY w.id`, id).
			Scan(&b.Pending, &b.Failed, &oldest)
		if errors.Is(err, sql.ErrNoRows) {
			err = webhook.ErrNotFound
		}
		b.Oldest = time.Time{}
		if oldest.Valid {
			b.Oldest = fromMicros(oldest.Int64)
		}
		return err
	})
	if err != nil {
		return webhook.Backlog{}, err
	}
	return b, nil
}

// tell queues a notice, which is about a change at that time, for the webhooks
// that want it; it is written with the transaction.
func (w *writing) tell(at time.Time, n webhook.Notice) {
	w.notices = append(w.notices, notice{at, n})
}

type notice struct {
	at time.Time
	webhook.Notice
}

// subject is the model as notices are about it; ok is false when nobody is
// told of anything.
func (w *writing) subject(ctx context.Context, model int64, name string) (s webhook.Subject, ok bool, err error) {
	if !w.hooked {
		return s, false, nil
	}
	var n int
	err = w.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_reg_model_tags WHERE model_id = ? AND key = ? AND value = 'true'`,
		model, registry.PromptTag).Scan(&n)
	return webhook.Subject{Name: name, Prompt: n > 0}, err == nil, err
}

// hooked is a column: whether any webhook is active. The statements that lock a
// model read it, so that a registry without webhooks pays no round trip.
const hooked = `(SELECT COUNT(*) FROM (SELECT 1 FROM mw_reg_webhooks WHERE status = 'ACTIVE' LIMIT 1) h)`

// queueAll writes the notices, and reports whether there were receivers.
func (w *writing) queueAll(ctx context.Context) (queued bool, err error) {
	for _, n := range w.notices {
		result, err := w.ExecContext(ctx, `
			INSERT INTO mw_reg_outbox (webhook_id, event, event_id, time_us, attempts, last_error, body)
			SELECT e.webhook_id, e.event, CAST(? AS text), CAST(? AS bigint), 0, '', CAST(? AS text)
			FROM mw_reg_webhook_events e JOIN mw_reg_webhooks h ON h.id = e.webhook_id
			WHERE e.event = ? AND h.status = 'ACTIVE' ORDER BY e.webhook_id`,
			webhook.NewEventID(), micros(n.at), string(n.Body(n.at)), string(n.Event))
		if err != nil {
			return false, err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return false, err
		}
		queued = queued || rows > 0
	}
	return queued, nil
}
