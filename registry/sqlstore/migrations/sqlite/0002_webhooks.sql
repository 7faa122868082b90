-- Webhooks and what is to be sent to them: see registry/webhook.Store.
-- ../postgres/0002_webhooks.sql is the same schema.

-- owner serves the queue until until_us, and nobody does before due_us.
CREATE TABLE mw_reg_webhooks (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    secret      TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    created_us  INTEGER NOT NULL,
    updated_us  INTEGER NOT NULL,
    owner       TEXT    NOT NULL,
    until_us    INTEGER NOT NULL,
    due_us      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX mw_reg_webhooks_by_time ON mw_reg_webhooks (created_us DESC, id DESC);

CREATE TABLE mw_reg_webhook_events (
    event      TEXT NOT NULL,
    webhook_id TEXT NOT NULL REFERENCES mw_reg_webhooks (id),
    PRIMARY KEY (event, webhook_id)
) WITHOUT ROWID;
CREATE INDEX mw_reg_webhook_events_by_webhook ON mw_reg_webhook_events (webhook_id, event);

-- No reference to the webhook: whoever changes a model must not fail, or wait,
-- because a webhook is being deleted. What is left over is swept.
CREATE TABLE mw_reg_outbox (
    number     INTEGER PRIMARY KEY AUTOINCREMENT, -- not given out twice
    webhook_id TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    event_id   TEXT    NOT NULL,
    time_us    INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    failed_us  INTEGER,
    last_error TEXT    NOT NULL,
    body       TEXT    NOT NULL
);
CREATE INDEX mw_reg_outbox_pending ON mw_reg_outbox (webhook_id, number) WHERE failed_us IS NULL;
CREATE INDEX mw_reg_outbox_failed  ON mw_reg_outbox (webhook_id, number) WHERE failed_us IS NOT NULL;
CREATE INDEX mw_reg_outbox_forget  ON mw_reg_outbox (failed_us) WHERE failed_us IS NOT NULL;
CREATE INDEX mw_reg_outbox_expire  ON mw_reg_outbox (time_us) WHERE failed_us IS NULL;
