package webhook

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Hooks keeps webhooks, and delivers to them between Start and Shutdown. All
// its methods may be called from many goroutines; those that keep webhooks
// work without Start.
type Hooks struct {
	store Store
	opts  Options
	keys  keyring
	rules rules
	send  *sender
	work  worker
}

// New returns the webhooks of a store. ErrInvalid when a key is not 32 bytes
// long.
func New(store Store, opts *Options) (*Hooks, error) {
	if store == nil {
		return nil, fmt.Errorf("webhook: new: store is nil: %w", ErrInvalid)
	}
	h := &Hooks{store: store, opts: opts.withDefaults()}
	var err error
	if h.keys, err = newKeyring(h.opts.Keys); err != nil {
		return nil, fmt.Errorf("webhook: new: Keys: %w", err)
	}
	h.rules = rules{h.opts.AllowHTTP, slices.Clone(h.opts.AllowNetworks), h.opts.Resolver}
	h.send = newSender(&h.rules, h.opts)
	h.work.init(h)
	return h, nil
}

// Limits in bytes, as MLflow's where it has one.
const (
	maxName        = 63
	maxDescription = 5000
	maxSecret      = 1000
	// MaxList is how many webhooks List returns at once.
	MaxList = 1000
)

// Draft is what Create makes a webhook of.
type Draft struct {
	// Name is 1 to 63 letters, digits, '.', '_' and '-', beginning and ending
	// with a letter or digit. Several webhooks may have the same.
	Name string
	// Description is free text of at most 5,000 bytes.
	Description string
	// URL is where the events are sent; see the package documentation.
	URL string
	// Secret signs the requests, at most 1000 bytes; empty for no signature.
	Secret string
	// Events are what it is told; at least one.
	Events []Event
	// Status is Active by default.
	Status Status
}

// Update changes a webhook. A nil field leaves its value as it is.
type Update struct {
	Name, Description, URL *string
	// Secret replaces the secret; an empty one takes it away.
	Secret *string
	Events []Event
	Status *Status
}

// Create adds a webhook. ErrInvalid lists all faults; among them are a URL
// that is not allowed and a host that does not resolve.
func (h *Hooks) Create(ctx context.Context, d Draft) (Webhook, error) {
	op := fmt.Sprintf("webhook: create %q", cut(d.Name))
	if d.Status == "" {
		d.Status = Active
	}
	events, err := h.check(ctx, op, Update{Name: &d.Name, Description: &d.Description, URL: &d.URL, Secret: &d.Secret, Events: d.Events, Status: &d.Status}, true)
	if err != nil {
		return Webhook{}, err
	}
	at := now()
	r := Record{Webhook: Webhook{
		ID: NewEventID(), Name: d.Name, Description: d.Description, URL: d.URL, Events: events, Status: d.Status,
		Signed: d.Secret != "", Created: at, Updated: at,
	}}
	r.Secret = h.keys.seal(r.ID, d.Secret)
	if err := h.store.CreateWebhook(ctx, r, h.opts.MaxWebhooks); err != nil {
		return Webhook{}, fmt.Errorf("%s: %w", op, err)
	}
	return r.Webhook, nil
}

// Update changes a webhook. What is queued for it is tried again at once.
func (h *Hooks) Update(ctx context.Context, id string, u Update) (Webhook, error) {
	op := fmt.Sprintf("webhook: update %q", cut(id))
	if err := checkID(op, id); err != nil {
		return Webhook{}, err
	}
	events, err := h.check(ctx, op, u, false)
	if err != nil {
		return Webhook{}, err
	}
	change := RecordUpdate{Name: u.Name, Description: u.Description, URL: u.URL, Events: events, Status: u.Status, Time: now()}
	if u.Secret != nil {
		kept := h.keys.seal(id, *u.Secret)
		change.Secret = &kept
	}
	r, err := h.store.UpdateWebhook(ctx, id, change)
	if err != nil {
		return Webhook{}, fmt.Errorf("%s: %w", op, err)
	}
	h.wake()
	return r.Webhook, nil
}

// Delete removes a webhook and what is queued for it.
func (h *Hooks) Delete(ctx context.Context, id string) error {
	op := fmt.Sprintf("webhook: delete %q", cut(id))
	err := checkID(op, id)
	if err == nil {
		err = wrap(op, h.store.DeleteWebhook(ctx, id))
	}
	return err
}

// Get returns one webhook.
func (h *Hooks) Get(ctx context.Context, id string) (Webhook, error) {
	op := fmt.Sprintf("webhook: get %q", cut(id))
	if err := checkID(op, id); err != nil {
		return Webhook{}, err
	}
	r, err := h.store.Webhook(ctx, id)
	return r.Webhook, wrap(op, err)
}

// List returns a page of webhooks, the newest first, and the token of the next
// page, which is empty at the end. limit is 1 to MaxList, 0 stands for 100.
func (h *Hooks) List(ctx context.Context, limit int, token string) (page []Webhook, next string, err error) {
	if limit == 0 {
		limit = 100
	}
	if limit < 1 || limit > MaxList {
		return nil, "", fmt.Errorf("webhook: list: the limit is %d, want 1 to %d: %w", limit, MaxList, ErrInvalid)
	}
	records, next, err := h.store.Webhooks(ctx, limit, token)
	if err != nil {
		return nil, "", fmt.Errorf("webhook: list: %w", err)
	}
	for _, r := range records {
		page = append(page, r.Webhook)
	}
	return page, next, nil
}

// Backlog tells what is queued for a webhook, and what was given up.
func (h *Hooks) Backlog(ctx context.Context, id string) (Backlog, error) {
	op := fmt.Sprintf("webhook: backlog of %q", cut(id))
	if err := checkID(op, id); err != nil {
		return Backlog{}, err
	}
	b, err := h.store.Backlog(ctx, id)
	return b, wrap(op, err)
}

// Failed walks the events of a webhook that were given up, the oldest first.
func (h *Hooks) Failed(ctx context.Context, id string) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		op := fmt.Sprintf("webhook: failed events of %q", cut(id))
		if err := checkID(op, id); err != nil {
			yield(Delivery{}, err)
			return
		}
		for after := int64(0); ; {
			page, err := h.store.Failed(ctx, id, after, failedPage)
			if err != nil {
				yield(Delivery{}, fmt.Errorf("%s: %w", op, err))
				return
			}
			for _, d := range page {
				if !yield(d, nil) {
					return
				}
				after = d.Number
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// failedPage is how many events are read at once: their bodies may be long.
const failedPage = 10

// Requeue sends what was given up again, behind what is queued, and returns
// how many events that are.
func (h *Hooks) Requeue(ctx context.Context, id string) (int, error) {
	op := fmt.Sprintf("webhook: requeue %q", cut(id))
	if err := checkID(op, id); err != nil {
		return 0, err
	}
	n, err := h.store.Requeue(ctx, id, now())
	if err == nil {
		h.wake()
	}
	return n, wrap(op, err)
}

// check reports all that is wrong with u, and returns its events sorted.
func (h *Hooks) check(ctx context.Context, op string, u Update, all bool) ([]Event, error) {
	var faults errs.Faults
	if u.Name != nil {
		faults.Check(validName(*u.Name), "the name %q is not 1 to %d letters, digits, '.', '_' and '-' with a letter or digit at both ends", cut(*u.Name), maxName)
	}
	text := func(what string, s *string, most int) {
		if s != nil {
			faults.Check(len(*s) <= most, "the %s has %d bytes, want at most %d", what, len(*s), most)
			faults.Check(utf8.ValidString(*s) && !strings.Contains(*s, "\x00"), "the %s holds invalid UTF-8 or a NUL", what)
		}
	}
	text("description", u.Description, maxDescription)
	text("secret", u.Secret, maxSecret)
	if u.Status != nil {
		faults.Check(*u.Status == Active || *u.Status == Disabled, "the status %q is neither %s nor %s", cut(string(*u.Status)), Active, Disabled)
	}
	faults.Check(!all || len(u.Events) > 0, "there are no events, want at least one")
	faults.Check(len(u.Events) <= 100, "there are %d events", len(u.Events))
	for _, e := range u.Events[:min(len(u.Events), 100)] {
		faults.Check(e.Known(), "the event %q is none of this registry's", cut(string(e)))
	}
	if u.URL != nil {
		if err := h.rules.check(ctx, *u.URL); err != nil {
			if ctx.Err() != nil {
				return nil, wrap(op, err)
			}
			faults.Addf("%v", err)
		}
	}
	events := slices.Clone(u.Events)
	slices.Sort(events)
	return slices.Compact(events), faults.Err(op)
}

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		middle := i > 0 && i < len(name)-1 && (c == '.' || c == '_' || c == '-')
		if !alnum && !middle {
			return false
		}
	}
	return true
}

// checkID spares the store what is no id.
func checkID(op, id string) error {
	if id == "" || len(id) > maxName || !validName(id) {
		return fmt.Errorf("%s: %w", op, ErrNotFound)
	}
	return nil
}

func wrap(op string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", op, err)
	}
	return err
}

// cut shortens a text for an error.
func cut(s string) string {
	return cutTo(s, 100)
}

func cutTo(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// now is the time as every store can keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
