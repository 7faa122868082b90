package webhook

import (
	"context"
	"time"
)

// Status says whether a webhook is told anything.
type Status string

// The states. What happens while a webhook is Disabled is not queued for it,
// and what was queued waits.
const (
	Active   Status = "ACTIVE"
	Disabled Status = "DISABLED"
)

// Webhook is a receiver and what it wants to be told.
type Webhook struct {
	// ID is given by Create.
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	URL         string  `json:"url"`
	Events      []Event `json:"events"` // sorted
	Status      Status  `json:"status"`
	// Signed is whether it has a secret, which is never shown.
	Signed bool `json:"signed,omitempty"`
	// Created and Updated are UTC, to the microsecond.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// Record is a Webhook as a store keeps it.
type Record struct {
	Webhook
	// Secret is opaque to the store; empty when there is none.
	Secret string
}

// RecordUpdate changes a Record. A nil field leaves its value as it is.
type RecordUpdate struct {
	Name, Description, URL, Secret *string
	Events                         []Event
	Status                         *Status
	Time                           time.Time
}

// Delivery is an event that is queued for a webhook.
type Delivery struct {
	// Number orders the events of a webhook.
	Number int64
	Event  Event
	// EventID is the same for all webhooks that are told of the event.
	EventID string
	// Time is when it happened, UTC, to the microsecond.
	Time time.Time
	// Body is that of the request, as Notice.Body made it.
	Body []byte
	// Attempts have failed so far, the last one with LastError.
	Attempts  int
	LastError string
	// FailedAt is when it was given up; zero while it is queued.
	FailedAt time.Time
}

// Lease is a worker's hold on the queue of a webhook.
type Lease struct {
	Webhook string
	// Owner is the worker, Until when its hold ends if it is not prolonged.
	Owner string
	Until time.Time
	// Seen is the Updated of the webhook as the worker knows it.
	Seen time.Time
}

// Outcome is how an attempt ended. Neither Delivered nor Failed: it is to be
// tried again.
type Outcome struct {
	Delivered, Failed bool
	Error             string
	Time              time.Time
}

// Limits of the queue, for Store.Sweep.
type Limits struct {
	// Now is the present. Events queued before Expire are given up, as are the
	// oldest ones of a webhook that has more than Pending.
	Now, Expire time.Time
	Pending     int
	// Events given up before Forget are removed.
	Forget time.Time
}

// Backlog is the state of a webhook's queue.
type Backlog struct {
	Pending, Failed int
	// Oldest is when the first of the pending events happened; zero for none.
	Oldest time.Time
}

// Store keeps the webhooks and their queues. registry/sqlstore implements it;
// the contract is checked by registrytest.RunWebhooks.
//
//   - The registry.Store on the same records queues what Subject tells: for
//     each webhook that is Active and wants the event, in the transaction of
//     the change.
//   - Each writing method is one transaction that survives a kill.
//   - Arguments were validated. Errors wrap ErrNotFound when there is no such
//     webhook, ErrClosed or ErrUnavailable.
type Store interface {
	// CreateWebhook stores r; ErrInvalid when there are most webhooks already.
	CreateWebhook(ctx context.Context, r Record, most int) error
	// UpdateWebhook changes what u sets and returns the result. Updated
	// becomes u.Time, or a little later so that it is never the same twice.
	// What is queued is due at once.
	UpdateWebhook(ctx context.Context, id string, u RecordUpdate) (Record, error)
	// DeleteWebhook removes the webhook with its queue.
	DeleteWebhook(ctx context.Context, id string) error
	// Webhook returns one webhook.
	Webhook(ctx context.Context, id string) (Record, error)
	// Webhooks returns at most limit webhooks, the newest first, and the token
	// of the next page, empty at the end; ErrInvalid for a damaged token.
	Webhooks(ctx context.Context, limit int, token string) (page []Record, next string, err error)

	// Claim takes up to limit webhooks for owner that are Active, have
	// something queued that is due, and are held by nobody now; those that
	// waited longest come first.
	Claim(ctx context.Context, owner string, now, until time.Time, limit int) (ids []string, err error)
	// Pending prolongs the lease and returns the webhook with the first of its
	// queue, none when it is Disabled. ErrConflict when the lease is another's.
	Pending(ctx context.Context, l Lease, limit int) (Record, []Delivery, error)
	// Settle notes how an attempt ended, even when the lease was lost. A
	// delivered event is removed, else Attempts grows by one. The lease is
	// prolonged; held is false when it was lost, or the webhook was changed or
	// deleted after l.Seen.
	Settle(ctx context.Context, l Lease, number int64, o Outcome) (held bool, err error)
	// Release ends the lease, if it is held still, and makes the queue due at
	// that time unless the webhook was changed after l.Seen.
	Release(ctx context.Context, l Lease, now, due time.Time) error

	// Failed returns at most limit events of a webhook that were given up,
	// those after the number given.
	Failed(ctx context.Context, id string, after int64, limit int) ([]Delivery, error)
	// Requeue puts those that were given up back into the queue, as if they
	// had happened now, and returns how many.
	Requeue(ctx context.Context, id string, now time.Time) (int, error)
	// Backlog counts the queue of a webhook.
	Backlog(ctx context.Context, id string) (Backlog, error)
	// Sweep applies the limits to a bounded number of events, and returns
	// whether there may be more.
	Sweep(ctx context.Context, l Limits) (more bool, err error)
}

// Waker is a Store that knows when something was queued by this process, so
// that a worker need not wait for its next look.
type Waker interface {
	// Queued returns a channel that is closed when something is queued, or
	// the store is closed.
	Queued() <-chan struct{}
}
