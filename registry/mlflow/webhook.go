package mlflow

import (
	"errors"
	"net/http"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/webhook"
)

// webhookRoutes are those of webhooks. A webhook is told of every model and
// makes this server connect to where its URL says, so all of them are for who
// manages the registry.
func (h *Handler) webhookRoutes() []route {
	const all, one = "2.0/mlflow/webhooks", "2.0/mlflow/webhooks/{webhook_id}"
	return []route{
		{method: http.MethodPost, path: all, verb: Manage, scope: wholeRegistry, serve: hooked(h.createWebhook)},
		{method: http.MethodGet, path: all, verb: Manage, scope: wholeRegistry, serve: hooked(h.listWebhooks)},
		{method: http.MethodGet, path: one, verb: Manage, scope: wholeRegistry, serve: hooked(h.getWebhook)},
		{method: http.MethodPatch, path: one, verb: Manage, scope: wholeRegistry, serve: hooked(h.updateWebhook)},
		{method: http.MethodDelete, path: one, verb: Manage, scope: wholeRegistry, serve: hooked(h.deleteWebhook)},
		{method: http.MethodPost, path: one + "/test", verb: Manage, scope: wholeRegistry, serve: hooked(h.testWebhook)},
	}
}

// hooked is rpc for a route that needs Options.Webhooks.
func hooked[M any](serve func(c *call, m *M) (any, error)) func(c *call) error {
	return rpc(func(c *call, m *M) (any, error) {
		if c.h.opts.Webhooks == nil {
			return nil, mlflowapi.Errorf(mlflowapi.CodeNotImplemented, "This server has no webhooks.")
		}
		answer, err := serve(c, m)
		if id := c.Path("webhook_id"); id != "" && errors.Is(err, registry.ErrNotFound) {
			err = mlflowapi.Errorf(mlflowapi.CodeNotFound, "Webhook with ID %s not found.", mlflowhttp.Printable(id))
		}
		return answer, err
	})
}

func (h *Handler) createWebhook(c *call, m *mlflowapi.CreateWebhook) (any, error) {
	events, err := eventsOf(m.Events)
	if err != nil {
		return nil, err
	}
	w, err := h.opts.Webhooks.Create(c.Ctx(), webhook.Draft{
		Name: m.Name, Description: m.Description, URL: m.URL, Secret: m.Secret, Events: events, Status: webhook.Status(m.Status),
	})
	return webhookAnswer(w), err
}

func (h *Handler) listWebhooks(c *call, m *mlflowapi.ListWebhooks) (any, error) {
	if m.MaxResults < 0 || m.MaxResults > webhook.MaxList {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "max_results must be between 1 and %d.", webhook.MaxList)
	}
	page, next, err := h.opts.Webhooks.List(c.Ctx(), int(m.MaxResults), m.PageToken)
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.ListWebhooksResponse{NextPageToken: next}
	for _, w := range page {
		out.Webhooks = append(out.Webhooks, wireWebhook(w))
	}
	return out, nil
}

func (h *Handler) getWebhook(c *call, _ *mlflowapi.WebhookID) (any, error) {
	w, err := h.opts.Webhooks.Get(c.Ctx(), c.Path("webhook_id"))
	return webhookAnswer(w), err
}

func (h *Handler) updateWebhook(c *call, m *mlflowapi.UpdateWebhook) (any, error) {
	events, err := eventsOf(m.Events)
	if err != nil {
		return nil, err
	}
	u := webhook.Update{Description: m.Description, Secret: m.Secret, Events: events}
	if m.Name != "" {
		u.Name = &m.Name
	}
	if m.URL != "" {
		u.URL = &m.URL
	}
	if m.Status != nil {
		status := webhook.Status(*m.Status)
		u.Status = &status
	}
	w, err := h.opts.Webhooks.Update(c.Ctx(), c.Path("webhook_id"), u)
	return webhookAnswer(w), err
}

func (h *Handler) deleteWebhook(c *call, _ *mlflowapi.WebhookID) (any, error) {
	return nil, h.opts.Webhooks.Delete(c.Ctx(), c.Path("webhook_id"))
}

func (h *Handler) testWebhook(c *call, m *mlflowapi.TestWebhook) (any, error) {
	var event webhook.Event
	if m.Event != nil {
		events, err := eventsOf([]mlflowapi.WebhookEvent{*m.Event})
		if err != nil {
			return nil, err
		}
		event = events[0]
	}
	r, err := h.opts.Webhooks.Test(c.Ctx(), c.Path("webhook_id"), event)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.TestWebhookResponse{Result: mlflowapi.WebhookTestResult{
		Success: r.Delivered, ResponseStatus: int64(r.Status), ResponseBody: r.Body, ErrorMessage: r.Error,
	}}, nil
}

func webhookAnswer(w webhook.Webhook) *mlflowapi.WebhookResponse {
	return &mlflowapi.WebhookResponse{Webhook: wireWebhook(w)}
}

func wireWebhook(w webhook.Webhook) mlflowapi.Webhook {
	out := mlflowapi.Webhook{
		WebhookID: w.ID, Name: w.Name, Description: w.Description, URL: w.URL, Status: mlflowapi.WebhookStatus(w.Status),
		CreationTimestamp: w.Created.UnixMilli(), LastUpdatedTimestamp: w.Updated.UnixMilli(),
	}
	for _, e := range w.Events {
		out.Events = append(out.Events, mlflowapi.WebhookEvent{
			Entity: mlflowapi.WebhookEntity(strings.ToUpper(e.Entity())), Action: mlflowapi.WebhookAction(strings.ToUpper(e.Action())),
		})
	}
	return out
}

// eventsOf reads events of the wire; those that MLflow does not have, and the
// one of its gateway, are refused: nobody would ever be told of them.
func eventsOf(wire []mlflowapi.WebhookEvent) ([]webhook.Event, error) {
	var out []webhook.Event
	for _, w := range wire {
		e := webhook.Event(strings.ToLower(string(w.Entity) + "." + string(w.Action)))
		if !e.Known() {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid action '%s' for entity '%s': this server tells of no such event.",
				mlflowhttp.Printable(e.Action()), mlflowhttp.Printable(e.Entity()))
		}
		out = append(out, e)
	}
	return out, nil
}
